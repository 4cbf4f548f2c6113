import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { memoryOf, processorMsOf } from './process-usage.js';

const PROGRAMS = {
  flightdeck: new URL('../src/main.js', import.meta.url),
  'bare-embedded': new URL('./bare/embedded.js', import.meta.url),
  'bare-postgres': new URL('./bare/postgres.js', import.meta.url),
  // Not compiled: its packages are those of the bench alone.
  dbos: new URL('../../bench/peers/dbos.mjs', import.meta.url),
};
export type Program = keyof typeof PROGRAMS;

/** As `npm start` does, so that young garbage has room; the same for all of them. */
const NODE_OPTIONS = ['--max-semi-space-size=32'];
const READY_WITHIN_MS = 60_000;
/** Ends them with us, however we end, except by SIGKILL. */
const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

/** A server in a process of its own, on a free port of this machine. */
export class ServerProcess {
  private constructor(
    readonly program: Program,
    readonly url: string,
    readonly startup_ms: number,
    private readonly child: ChildProcess,
  ) {}

  /** Resolves when it answers at its port under `readyPath`. */
  static async start(
    program: Program,
    environment: NodeJS.ProcessEnv,
    { portVariable = 'PORT', readyPath = '/health/ready', nodeOptions = [] as string[] } = {},
  ): Promise<ServerProcess> {
    const port = await freePort();
    const begin = performance.now();
    const child = spawn(process.execPath, [...NODE_OPTIONS, ...nodeOptions, fileURLToPath(PROGRAMS[program])], {
      // Away from an `.env` that somebody has here.
      cwd: tmpdir(),
      env: {
        PATH: process.env.PATH,
        NODE_OPTIONS: process.env.NODE_OPTIONS,
        HOST: '127.0.0.1',
        [portVariable]: String(port),
        ...environment,
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    running.add(child);
    child.once('exit', () => running.delete(child));
    const url = `http://127.0.0.1:${port}`;
    while (!(await isReady(url + readyPath))) {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
      if (performance.now() - begin > READY_WITHIN_MS) throw new Error(`${program} did not become ready`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return new ServerProcess(program, url, performance.now() - begin, child);
  }

  /** Resident memory, in MiB. */
  memory(): Promise<number> {
    return memoryOf(this.child.pid!);
  }

  /** Processor time that it used so far, in ms. */
  processorMs(): Promise<number> {
    return processorMsOf(this.child.pid!);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
  }
}

async function isReady(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}
