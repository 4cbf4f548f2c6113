const POLL_MS = 20;

/** Waits until the check passes; its last failure is the test's. */
export async function eventually<T>(check: () => Promise<T> | T, timeout_ms = 15_000): Promise<T> {
  const deadline = Date.now() + timeout_ms;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What takes longer than this waits for something; what does not is at most slow, on a machine that others use too. */
export const HANGING_MS = 10_000;

/** Rejects when the work is not done in time. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`Not done within ${ms} ms`)), ms);
    over.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  return Promise.race([work, late]).finally(() => over.abort());
}
