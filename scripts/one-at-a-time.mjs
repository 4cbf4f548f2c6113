/** Lets one process at a time install or build, so that two that start together on a fresh clone do not mix files. */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './root.mjs';

// Not inside the repository: npm empties node_modules, and a build replaces dist.
const LOCK = join(tmpdir(), `flightdeck-${createHash('sha256').update(ROOT).digest('hex').slice(0, 16)}.lock`);
const RETRY_MS = 100;

export function oneAtATime(action) {
  let announced = false;
  while (!take()) {
    const holder = Number(read());
    // It ended without tidying up; our own number means that it was given to us after its end.
    if (holder && (holder === process.pid || !isAlive(holder))) {
      rmSync(LOCK, { force: true });
      continue;
    }
    if (!announced) console.error(`Waiting for process ${holder}, which installs or builds (${LOCK})`);
    announced = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
  }
  const release = () => rmSync(LOCK, { force: true });
  process.once('exit', release);
  try {
    return action();
  } finally {
    process.off('exit', release);
    release();
  }
}

function take() {
  try {
    writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function read() {
  try {
    return readFileSync(LOCK, 'utf8');
  } catch {
    return '';
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
