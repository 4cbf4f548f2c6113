import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** What must be undone at the end, however the end comes: the newest first. */
export class Cleanup {
  private readonly steps: (() => Promise<void>)[] = [];
  private isOver = false;

  add(step: () => Promise<void>): void {
    this.steps.push(step);
    // It was started while everything else was being stopped.
    if (this.isOver) void this.run();
  }

  async run(): Promise<void> {
    this.isOver = true;
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      await step().catch((error: unknown) => console.error(`While cleaning up: ${String(error)}`));
    }
  }
}

export const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** Asks a process of ours to stop, and after the patience is over makes it stop. */
export async function stopProcess(child: ChildProcess, signal: NodeJS.Signals, patienceMs: number): Promise<void> {
  if (hasEnded(child) || child.pid === undefined) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  const isLate = await Promise.race([exit.then(() => false), sleep(patienceMs, true, { ref: false })]);
  if (!isLate) return;
  child.kill('SIGKILL');
  await exit;
}
