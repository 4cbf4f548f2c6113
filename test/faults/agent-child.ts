import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { WorkerOptions } from './worker.js';

/** An agent in a process of its own. */
export class AgentChild {
  private readonly lines: AsyncIterator<string>;

  private constructor(private readonly child: ChildProcess) {
    this.lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  static async start(options: WorkerOptions & { stop_at?: number }): Promise<AgentChild> {
    const args = ['dist/test/faults/agent-process.js', JSON.stringify(options)];
    const agent = new AgentChild(spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] }));
    await agent.line();
    return agent;
  }

  /** What it says next. */
  async line(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('The agent has ended');
    return value;
  }

  send(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    await ended;
  }
}
