/**
 * `npm test`. Builds first: the tests that kill processes start the built server. With FLIGHTDECK_TEST_REPORT set, the
 * results are also written to that file as JSON, for whoever counts them.
 */
import { ensureBuilt, ensureInstalled } from './ensure.mjs';
import { runNode } from './run-command.mjs';

ensureInstalled();
ensureBuilt();

const report = process.env.FLIGHTDECK_TEST_REPORT;
const reporters = report ? ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`] : [];
process.exitCode = await runNode('node_modules/vitest/vitest.mjs', ['run', ...reporters, ...process.argv.slice(2)]);
