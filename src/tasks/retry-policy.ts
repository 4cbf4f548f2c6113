/** How long a task waits before its next attempt: backoff * factor^(attempt - 1), at most max. */
export interface RetryPolicy {
  backoff_seconds: number;
  factor: number;
  max_seconds: number;
  /** Between half and all of the wait, by chance, so that what failed together does not return together. */
  jitter: boolean;
}

export const DEFAULT_RETRY: RetryPolicy = { backoff_seconds: 1, factor: 2, max_seconds: 300, jitter: true };

/**
 * Seconds to wait after the given attempt (1 is the first). Source of "equal jitter": Exponential Backoff And Jitter,
 * AWS Architecture Blog, 2015.
 */
export function backoffSeconds(policy: RetryPolicy, attempt: number, random = Math.random()): number {
  const { backoff_seconds, factor, max_seconds, jitter } = policy;
  const wait = Math.min(max_seconds, backoff_seconds * factor ** Math.max(0, attempt - 1));
  return jitter ? wait / 2 + (wait / 2) * random : wait;
}
