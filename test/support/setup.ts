import 'reflect-metadata';
import { afterAll } from 'vitest';
import { CANARY } from './canary.js';

/** Servers within the test's process log here. */
let hasToldSecret = false;
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  stream.write = (...args: unknown[]): boolean => {
    hasToldSecret ||= String(args[0]).includes(CANARY);
    return write(...args);
  };
}
afterAll(() => {
  if (hasToldSecret) throw new Error("A log held the server's secret");
});
