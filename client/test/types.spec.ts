import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const TSC = ['node_modules/typescript/bin/tsc', '--noEmit', '--ignoreConfig', '--strict', '--skipLibCheck'];
const LIKE_A_USER = ['--module', 'nodenext', '--target', 'es2023', '--types', 'node'];

it('the built package has the types that its users rely on', { timeout: 120_000 }, async () => {
  const compiling = promisify(execFile)(process.execPath, [...TSC, ...LIKE_A_USER, 'client/test/type-cases.ts']);
  const { stdout } = await compiling.catch((error: { stdout: string }) => error);

  expect(stdout).toBe('');
});
