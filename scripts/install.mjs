/** Installs the packages, and knows whether that is needed. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from './root.mjs';

const filesOf = (folder) => ({
  lock: join(folder, 'package-lock.json'),
  /** The list that npm keeps of what it installed. */
  installed: join(folder, 'node_modules', '.package-lock.json'),
  stamp: join(folder, 'node_modules', '.installed'),
});

/** Compares contents: the times of the files tell nothing after a checkout. */
export function isInstalled(folder) {
  const files = filesOf(folder);
  const installed = read(files.installed);
  const locked = read(files.lock);
  if (!installed) return false;
  if (!locked || read(files.stamp) === stampOf(locked, installed)) return true;
  return holdsAll(JSON.parse(installed).packages, JSON.parse(locked).packages);
}

export function install(folder) {
  const files = filesOf(folder);
  const lock = relative(ROOT, files.lock);
  console.error(`Installing packages (once, and when ${lock} changes)`);
  // With NODE_ENV=production npm would leave out the compiler.
  const options = ['--include=dev', '--loglevel=error', '--no-progress'];
  const { status } = runNpm([read(files.lock) ? 'ci' : 'install', ...options], folder);
  if (status !== 0) {
    console.error('The packages could not be installed: see above.');
    process.exit(1);
  }
  writeFileSync(files.stamp, stampOf(read(files.lock), read(files.installed)));
}

function holdsAll(installed, locked) {
  return Object.entries(locked).every(([path, wanted]) => {
    const found = installed[path];
    if (found) return found.version === wanted.version && found.integrity === wanted.integrity;
    // The repository itself; packages for other systems; what npm has listed and nobody needs.
    return path === '' || wanted.optional || wanted.devOptional || wanted.extraneous;
  });
}

function stampOf(...texts) {
  return createHash('sha256').update(texts.join('\0')).digest('hex');
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** npm's messages go to standard error: standard output belongs to the program that is started. */
function runNpm(args, cwd) {
  const options = { cwd, stdio: ['ignore', 2, 2] };
  const npm = process.env.npm_execpath;
  if (npm && /npm-cli\.[cm]?js$/.test(npm)) return spawnSync(process.execPath, [npm, ...args], options);
  return spawnSync('npm', args, { ...options, shell: process.platform === 'win32' });
}
