/**
 * Writes `src/api-types.ts` from the repository's `openapi.json`; with `--check` it only says whether the committed one
 * is up to date.
 */
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const DOCUMENT = new URL('../../openapi.json', import.meta.url);
const FILE = new URL('../src/api-types.ts', import.meta.url);
const HEADER = '/** Generated from openapi.json by `npm run openapi`: change the server, not this file. */\n';

// A default is the server's: whoever sends a body may leave the field out.
const types = astToString(await openapiTS(DOCUMENT, { defaultNonNullable: false }));
const text = HEADER + types;

if (!process.argv.includes('--check')) {
  await writeFile(FILE, text);
  console.log('Wrote client/src/api-types.ts.');
} else if ((await readFile(FILE, 'utf8').catch(() => '')) !== text) {
  console.error('client/src/api-types.ts is out of date: run npm run openapi and commit it.');
  process.exitCode = 1;
}
