import { vi } from 'vitest';

/** What the server writes while the work runs. */
export async function outputOf(work: () => Promise<unknown>): Promise<string> {
  let output = '';
  const write = (chunk: unknown): boolean => {
    output += String(chunk);
    return true;
  };
  const spies = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write').mockImplementation(write));
  try {
    await work();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return output;
}
