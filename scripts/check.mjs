/** `npm run check`: everything that must hold besides the tests, the quickest first; ends at the first failure. */
import { ensureInstalled } from './ensure.mjs';
import { runNode } from './run-command.mjs';

const CHECKS = [
  ['Lint', 'node_modules/oxlint/bin/oxlint', '--type-aware', '--deny-warnings'],
  ['Format', 'node_modules/prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.'],
  ['Types', 'node_modules/typescript/bin/tsc', '--noEmit'],
  ['Layers', 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs', 'src', '--config', '.dependency-cruiser.cjs'],
  ['Build', 'scripts/build.mjs'],
  ['openapi.json is up to date', 'dist/src/platform/docs/write-openapi.js', '--check'],
  ['The types of the client are up to date', 'client/scripts/write-api-types.mjs', '--check'],
  ['Docker files', 'scripts/check-docker.mjs'],
];

ensureInstalled();
for (const [heading, file, ...args] of CHECKS) {
  console.log(`== ${heading}`);
  const code = await runNode(file, args);
  if (code === 0) continue;
  console.error(`== ${heading}: failed`);
  process.exit(code);
}
