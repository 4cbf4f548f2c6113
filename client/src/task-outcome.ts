import type { components } from './api-types.js';
import { TaskFailure, TaskRelease } from './task-work.js';

const LONGEST_MESSAGE = 10_000;
const LONGEST_CODE = 100;

/** What became of an attempt. */
export type Outcome =
  | { action: 'complete'; output: unknown }
  | { action: 'fail'; error: components['schemas']['TaskFailureDto']; retryable: boolean }
  | { action: 'release' };

/** What an error of the handler means for the task. */
export function outcomeOf(error: unknown, signal: AbortSignal): Outcome {
  if (error instanceof TaskRelease || signal.aborted) return { action: 'release' };
  return failure(error, error instanceof TaskFailure ? error.retryable : true);
}

export function failure(error: unknown, retryable: boolean): Outcome {
  const { message, code } = error instanceof Error ? (error as Error & { code?: unknown }) : { message: String(error) };
  const text = storable(message).slice(0, LONGEST_MESSAGE) || 'The handler failed without a message';
  const name = typeof code === 'string' ? storable(code).slice(0, LONGEST_CODE) : '';
  return { action: 'fail', error: { message: text, ...(name !== '' && { code: name }) }, retryable };
}

/** PostgreSQL's JSON takes neither U+0000 nor half a surrogate pair. */
const storable = (text: string): string => text.replaceAll('\0', '').replaceAll(/\p{Surrogate}/gu, '\uFFFD');
