/**
 * Adds up vitest's JSON reports and prints `N passed, N failed`: `node scripts/count-tests.mjs <report> <exit code> ...`.
 * Before it comes a line for each test that failed, so that the end of a long log says what to look at.
 * A run that failed without a failed test (a file that did not load, an error after the end) counts as one failure.
 */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const args = process.argv.slice(2);
let passed = 0;
let failed = 0;

for (let i = 0; i < args.length; i += 2) {
  const run = countIn(args[i]);
  passed += run.passed;
  failed += run.failed === 0 && args[i + 1] !== '0' ? 1 : run.failed;
}

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function countIn(file) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { passed: 0, failed: 1 };
  }
  const unloaded = report.testResults.filter(
    (suite) => suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed'),
  );
  for (const suite of report.testResults) sayFailures(suite);
  return { passed: report.numPassedTests, failed: report.numFailedTests + unloaded.length };
}

function sayFailures(suite) {
  const file = relative(process.cwd(), suite.name);
  const failed = suite.assertionResults.filter((test) => test.status === 'failed');
  for (const { fullName, failureMessages } of failed) {
    console.log(`FAILED ${file}: ${fullName}\n  ${failureMessages.join('\n').slice(0, 600)}`);
  }
  if (suite.status === 'failed' && failed.length === 0) console.log(`FAILED ${file}\n  ${suite.message.slice(0, 600)}`);
}
