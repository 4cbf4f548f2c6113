/** Installs the packages, and knows whether that is needed. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { inRoot, ROOT } from './root.mjs';

const LOCK = inRoot('package-lock.json');
/** The list that npm keeps of what it installed. */
const INSTALLED = inRoot('node_modules', '.package-lock.json');
const STAMP = inRoot('node_modules', '.installed');

/** Compares contents: the times of the files tell nothing after a checkout. */
export function isInstalled() {
  const installed = read(INSTALLED);
  const locked = read(LOCK);
  if (!installed) return false;
  if (!locked || read(STAMP) === stampOf(locked, installed)) return true;
  return holdsAll(JSON.parse(installed).packages, JSON.parse(locked).packages);
}

export function install() {
  console.error('Installing packages (once, and when package-lock.json changes)');
  // With NODE_ENV=production npm would leave out the compiler.
  const options = ['--include=dev', '--loglevel=error', '--no-progress'];
  const { status } = runNpm([read(LOCK) ? 'ci' : 'install', ...options]);
  if (status !== 0) {
    console.error('The packages could not be installed: see above.');
    process.exit(1);
  }
  writeFileSync(STAMP, stampOf(read(LOCK), read(INSTALLED)));
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
function runNpm(args) {
  const options = { cwd: ROOT, stdio: ['ignore', 2, 2] };
  const npm = process.env.npm_execpath;
  if (npm && /npm-cli\.[cm]?js$/.test(npm)) return spawnSync(process.execPath, [npm, ...args], options);
  return spawnSync('npm', args, { ...options, shell: process.platform === 'win32' });
}
