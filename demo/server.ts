import { createClient } from '@flightdeck/client';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Cleanup, hasEnded, stopProcess } from './cleanup.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));
const READY_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 15_000;
const KEPT_OUTPUT = 20_000;

export interface RunningServer {
  url: string;
  /** Rejects when the server ends by itself. */
  failure: Promise<never>;
}

export async function isReady(url: string): Promise<boolean> {
  try {
    const { status } = await createClient({ url, retries: 0, timeoutMs: 2_000 }).get('/health/ready');
    return status === 'ready';
  } catch {
    return false;
  }
}

/** A server of the demo's own: its data is in a temporary folder and goes with it. */
export async function startServer(cleanup: Cleanup): Promise<RunningServer> {
  const folder = await mkdtemp(join(tmpdir(), 'flightdeck-demo-'));
  cleanup.add(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;

  // In its own folder it finds no .env, and in its own process group Ctrl-C stops it last, after the agents.
  const child = spawn(process.execPath, [MAIN], {
    cwd: folder,
    env: environment(port, join(folder, 'data')),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  cleanup.add(() => stopProcess(child, 'SIGINT', STOP_WITHIN_MS));

  let output = '';
  const keep = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-KEPT_OUTPUT));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);

  let isStopping = false;
  cleanup.add(async () => void (isStopping = true));
  const failure = once(child, 'close').then(([code, signal]): Promise<never> => {
    // What follows a stop that was asked for is no failure.
    if (isStopping) return new Promise(() => undefined);
    throw new Error(`The server ended by itself (${String(code ?? signal)}). Its output:\n${output || '(nothing)'}`);
  });
  failure.catch(() => undefined);

  for (const giveUpAt = Date.now() + READY_WITHIN_MS; !(await isReady(url)); await sleep(100)) {
    if (hasEnded(child)) await failure;
    if (Date.now() > giveUpAt) throw new Error(`The server is not ready after 60 s. Its output:\n${output}`);
  }
  return { url, failure };
}

function environment(port: number, dataDir: string): NodeJS.ProcessEnv {
  const own = { PORT: String(port), HOST: '127.0.0.1', DATA_DIR: dataDir, LOG_LEVEL: 'warning' };
  // Empty: the embedded database and queue, even where the shell names others.
  const open = { ENVIRONMENT: 'development', AUTH_MODE: 'off', DEBUG: 'false' };
  return { ...process.env, ...own, ...open, ROLE: 'all', DATABASE_URL: '', REDIS_URL: '' };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('No port is free');
  return address.port;
}
