import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAMS = {
  flightdeck: fileURLToPath(new URL('../src/main.js', import.meta.url)),
  baseline: fileURLToPath(new URL('./baseline.js', import.meta.url)),
};
export type Program = keyof typeof PROGRAMS;

const READY_WITHIN_MS = 60_000;

/** A server process with an embedded database in a folder of its own. */
export class BenchServer {
  private constructor(
    readonly url: string,
    readonly startup_ms: number,
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly keepsFolder: boolean,
  ) {}

  static async start(program: Program, folder?: string): Promise<BenchServer> {
    const data = folder ?? (await mkdtemp(join(tmpdir(), `flightdeck-bench-`)));
    const port = await freePort();
    const environment = {
      PATH: process.env.PATH,
      PORT: String(port),
      HOST: '127.0.0.1',
      DATA_DIR: data,
      LOG_LEVEL: 'warning',
    };
    const begin = performance.now();
    const child = spawn(process.execPath, [PROGRAMS[program]], {
      env: environment,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const url = `http://127.0.0.1:${port}`;
    while (!(await isReady(url))) {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
      if (performance.now() - begin > READY_WITHIN_MS) throw new Error(`${program} did not become ready`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return new BenchServer(url, performance.now() - begin, child, data, folder !== undefined);
  }

  /** Resident memory, in MiB. */
  async memory(): Promise<number> {
    const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
  }

  /** Processor time that it used so far, in ms (Linux counts it in hundredths of a second). */
  async processorMs(): Promise<number> {
    const fields = (await readFile(`/proc/${this.child.pid}/stat`, 'utf8')).split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  get dataFolder(): string {
    return this.folder;
  }

  async stop(keepData = false): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
    if (!keepData && !this.keepsFolder) await rm(this.folder, { recursive: true, force: true });
  }
}

async function isReady(url: string): Promise<boolean> {
  return fetch(`${url}/health/ready`).then(
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
