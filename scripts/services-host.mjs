/**
 * Holds the PostgreSQL and the Redis of services.mjs until standard input closes, then stops them and tidies up.
 * Until then it takes commands, one a line, and repeats each when it is done: `stop postgres`, `crash postgres` (which
 * has to recover from its log), `start postgres`, `crash redis` (which forgets everything), `start redis`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { findServices } from './find-services.mjs';

const PATIENCE_MS = 30_000;
const folders = [];
const servers = {};
let isStopping = false;
let commands = Promise.resolve();

createInterface({ input: process.stdin })
  .on('line', (command) => {
    commands = commands.then(() => obey(command));
  })
  .once('close', () => void stop(0));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => void stop(1));

try {
  const binaries = findServices();
  const [database_url, redis_url] = await Promise.all([startPostgres(binaries), startRedis(binaries)]);
  console.log(JSON.stringify({ database_url, redis_url }));
} catch (error) {
  console.error(error.message);
  await stop(1);
}

async function startPostgres({ initdb, postgres, pg_isready }) {
  const owner = process.getuid?.() === 0 ? accountOf('postgres') : {};
  const folder = makeFolder('postgres', owner);
  const data = join(folder, 'data');
  // The collation of the embedded database, so that both sort alike.
  const locale = ['--encoding=UTF8', '--locale=C', '--lc-ctype=C.UTF-8'];
  execFileSync(initdb, ['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync', ...locale], {
    ...owner,
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });

  const port = await freePort();
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    max_connections: 300,
    fsync: 'on',
    synchronous_commit: 'on',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  await hold('postgres', {
    binary: postgres,
    args: ['-D', data, ...args],
    folder,
    owner,
    // PostgreSQL's fast shutdown, which does not wait for clients, and its immediate one.
    signals: { stop: 'SIGINT', crash: 'SIGQUIT' },
    isReady: () => succeeds(pg_isready, ['-q', '-h', '127.0.0.1', '-p', String(port)]),
  });
  return `postgres://postgres@127.0.0.1:${port}/postgres`;
}

async function startRedis({ redis }) {
  const folder = makeFolder('redis');
  const port = await freePort();
  const settings = ['--save', '', '--appendonly', 'no', '--bind', '127.0.0.1', '--port', String(port), '--dir', folder];
  await hold('redis', {
    binary: redis,
    args: settings,
    folder,
    owner: {},
    signals: { stop: 'SIGTERM', crash: 'SIGKILL' },
    isReady: () => answersPing(port),
  });
  return `redis://127.0.0.1:${port}`;
}

async function hold(name, server) {
  servers[name] = server;
  await start(server);
}

async function start(server) {
  const { binary, args, folder, owner, isReady } = server;
  const logFile = join(folder, 'server.log');
  const log = openSync(logFile, 'a');
  const child = spawn(binary, args, { ...owner, cwd: folder, stdio: ['ignore', log, log] });
  closeSync(log);
  Object.assign(server, { child, failure: undefined, isEnding: false });
  server.ended = new Promise((resolve) => {
    const end = (reason) => {
      server.failure = `${binary} ended (${reason}):\n${readFileSync(logFile, 'utf8').slice(-4000)}`;
      if (!server.isEnding) console.error(server.failure);
      resolve();
    };
    child.once('error', end);
    child.once('exit', (code, signal) => end(signal ?? code));
  });
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(50)) {
    if (server.failure) throw new Error('A server ended before it was ready.');
    if (await isReady()) return;
  }
  throw new Error(`${binary} is not ready after ${PATIENCE_MS / 1000} s.`);
}

async function obey(command) {
  const [action, name] = command.trim().split(' ');
  try {
    if (action === 'start') await start(servers[name]);
    else await end(servers[name], action);
    console.log(command);
  } catch (error) {
    console.error(`${command}: ${error.message}`);
    await stop(1);
  }
}

async function stop(exitCode) {
  if (isStopping) return;
  isStopping = true;
  await Promise.all(Object.values(servers).map((server) => end(server, 'stop')));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  process.exit(exitCode);
}

async function end(server, how) {
  const { child, signals, ended } = server;
  server.isEnding = true;
  child.kill(signals[how]);
  const killer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  await ended;
  clearTimeout(killer);
}

function makeFolder(name, { uid, gid } = {}) {
  const folder = mkdtempSync(join(tmpdir(), `flightdeck-${name}-`));
  folders.push(folder);
  if (uid !== undefined) chownSync(folder, uid, gid);
  return folder;
}

/** PostgreSQL refuses to run as root. */
function accountOf(user) {
  const id = (flag) => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function succeeds(command, args) {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function answersPing(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    socket.write('PING\r\n');
    const [answer] = await once(socket, 'data');
    return String(answer).startsWith('+PONG');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
