import { resolve } from 'node:path';

/** The one argument; npm runs scripts in the project, but a name is meant from where npm was called. */
export function fileArgument(command: 'backup' | 'restore'): string {
  const [file, ...more] = process.argv.slice(2);
  if (!file || file.startsWith('-') || more.length > 0) {
    console.error(`Usage: npm run ${command} -- <file>`);
    process.exit(1);
  }
  return resolve(process.env.INIT_CWD ?? '.', file);
}
