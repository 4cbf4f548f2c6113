import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { assertNoCanary, CANARY } from './canary.js';
import { eventually } from './eventually.js';
import { administer, withDatabase } from './global-setup.js';

const MAIN = 'dist/src/main.js';
const KEYS = 'dist/src/auth/keys.cli.js';

/** The built server as a process of its own, on data of its own: what is killed here is really dead. */
export class ServerProcess {
  output = '';
  private child: ChildProcess | null = null;

  private constructor(
    readonly port: number,
    readonly folder: string,
    private readonly database: { url: string; name: string } | null,
    private readonly settings: NodeJS.ProcessEnv,
    private readonly program: string,
  ) {}

  /** Has a port and an empty place for data, but does not run yet. */
  static async prepare(settings: NodeJS.ProcessEnv = {}, program = MAIN): Promise<ServerProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'flightdeck-process-'));
    const template = settings.DATABASE_URL === undefined ? inject('template') : null;
    const name = `flightdeck_process_${process.pid}_${Math.floor(Math.random() * 1e9)}`;
    if (template) await administer(template.url, `CREATE DATABASE ${name} TEMPLATE ${template.name}`);
    return new ServerProcess(await freePort(), folder, template && { url: template.url, name }, settings, program);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get environment(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      PORT: String(this.port),
      HOST: '127.0.0.1',
      DATA_DIR: join(this.folder, 'data'),
      DATABASE_URL: this.database ? withDatabase(this.database.url, this.database.name) : '',
      REDIS_URL: process.env.TEST_REDIS_URL ?? '',
      SECRET_KEY: CANARY,
      ...this.settings,
    };
  }

  launch(): ChildProcess {
    this.output = '';
    const child = spawn(process.execPath, [resolve(this.program)], { cwd: this.folder, env: this.environment });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.child = child;
    return child;
  }

  /** Starts it, also again. */
  async start(): Promise<void> {
    const child = this.launch();
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`The server ended with ${child.exitCode}: ${this.output}`);
      if (!(await this.isReady())) throw new Error('not ready');
    }, 60_000);
  }

  /** Makes a key as an operator does, with `npm run keys`; on the embedded database before it starts. */
  async createKey(role = 'admin'): Promise<string> {
    const { stdout } = await this.keys('create', '--role', role, '--name', `A test's ${role}`);
    return stdout.trim();
  }

  /** `npm run keys`; rejects with what it said when it failed. */
  keys(...args: string[]): Promise<{ stdout: string; stderr: string }> {
    return promisify(execFile)(process.execPath, [resolve(KEYS), ...args], { cwd: this.folder, env: this.environment });
  }

  /** Resolves with the exit code (null after a signal). */
  async signal(signal: NodeJS.Signals): Promise<number | null> {
    const ended = this.ended();
    this.child!.kill(signal);
    return ended;
  }

  /** Resolves also when it has ended already, by itself or not. */
  async ended(): Promise<number | null> {
    const child = this.child!;
    if (!this.hasEnded) await once(child, 'exit');
    return child.exitCode;
  }

  get hasEnded(): boolean {
    return this.child!.exitCode !== null || this.child!.signalCode !== null;
  }

  /** A worker serves nothing that could be asked, so it says when it is ready. */
  private async isReady(): Promise<boolean> {
    if (this.environment.ROLE === 'worker') return this.output.includes('is ready');
    return (await fetch(`${this.url}/health/ready`)).ok;
  }

  async dispose(): Promise<void> {
    if (this.child) await this.signal('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
    if (this.database)
      await administer(this.database.url, `DROP DATABASE IF EXISTS ${this.database.name} WITH (FORCE)`);
    assertNoCanary('The log of a server', this.output);
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
