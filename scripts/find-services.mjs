/** Where PostgreSQL's and Redis' programs are. Debian keeps those of PostgreSQL outside of PATH. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const DEBIAN_POSTGRES = '/usr/lib/postgresql';
const PACKAGES = ['postgresql', 'redis-server'];

export function findServices() {
  const found = look();
  if (isComplete(found)) return found;
  install();
  const installed = look();
  if (isComplete(installed)) return installed;
  throw new Error('PostgreSQL (initdb, postgres, pg_isready) and redis-server must be installed.');
}

function look() {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...debianFolders()];
  const find = (name) => folders.map((folder) => join(folder, name)).find(isProgram);
  const initdb = find('initdb');
  return { initdb, postgres: find('postgres'), pg_isready: find('pg_isready'), redis: find('redis-server') };
}

const isComplete = (binaries) => Object.values(binaries).every(Boolean);

function install() {
  if (process.getuid?.() !== 0 || !isProgram('/usr/bin/apt-get')) return;
  console.error(`Installing ${PACKAGES.join(' and ')}`);
  const apt = (...args) =>
    spawnSync('apt-get', args, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 2, 2],
    });
  apt('update', '-q');
  apt('install', '-q', '-y', '--no-install-recommends', ...PACKAGES);
}

/** Newest version first. */
function debianFolders() {
  try {
    return readdirSync(DEBIAN_POSTGRES)
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => join(DEBIAN_POSTGRES, version, 'bin'));
  } catch {
    return [];
  }
}

function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
