import { Backoff } from './backoff.js';
import { FlightdeckError, retryAfterSeconds } from './flightdeck-error.js';

const WITHOUT_BODY = new Set([101, 204, 205, 304]);
const PASSING = new Set([429, 502, 503, 504]);
/** Who is told to wait longer than this hears of it instead. */
const LONGEST_RETRY_AFTER_SECONDS = 60;

export interface Tries {
  fetch: typeof globalThis.fetch;
  /** How often a failed try is repeated. */
  retries: number;
  /** How long one try may take, with its whole answer. */
  timeoutMs: number;
  signal?: AbortSignal;
}

/**
 * Sends a request until it is answered or the tries are used up. Resolves with the last answer, whatever its status; its
 * body has been read. Rejects with a {@link FlightdeckError} when no answer came, or with the signal's reason.
 */
export async function tryAndTryAgain(request: Request, tries: Tries): Promise<Response> {
  const { retries, signal } = tries;
  const body = request.body === null ? undefined : await request.arrayBuffer();
  const backoff = new Backoff();
  let mayBeDone = false;
  for (let left = retries; ; left--) {
    const answer = await tryOnce(request, body, tries);
    if (answer instanceof FlightdeckError) {
      if (left <= 0) throw answer;
      mayBeDone = true;
      await backoff.pause(signal);
      continue;
    }
    // An earlier try deleted it; only its answer was lost.
    if (request.method === 'DELETE' && answer.status === 404 && mayBeDone) return new Response(null, { status: 204 });
    const wait = retryAfterSeconds(answer) ?? 0;
    if (left <= 0 || wait > LONGEST_RETRY_AFTER_SECONDS || !(await isPassing(answer))) return answer;
    mayBeDone ||= answer.status === 502 || answer.status === 504;
    await backoff.pause(signal, wait);
  }
}

/** One try; what keeps it from an answer is returned, so that only an abort is thrown. */
async function tryOnce(
  { url, method, headers }: Request,
  body: ArrayBuffer | undefined,
  { fetch, timeoutMs, signal }: Tries,
): Promise<Response | FlightdeckError> {
  signal?.throwIfAborted();
  // Not AbortSignal.any: on a signal that lives long its listeners would pile up.
  const ending = new AbortController();
  const passOn = () => ending.abort(signal?.reason);
  signal?.addEventListener('abort', passOn, { once: true });
  const timer = setTimeout(() => ending.abort(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
  try {
    const response = await fetch(new Request(url, { method, headers, body, signal: ending.signal }));
    const content = await response.arrayBuffer();
    const { status, statusText } = response;
    return new Response(WITHOUT_BODY.has(status) ? null : content, { status, statusText, headers: response.headers });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    return FlightdeckError.noAnswer(url, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', passOn);
  }
}

/** Away for a moment, too busy, or still at work on this very request, whose first answer was lost. */
async function isPassing(answer: Response): Promise<boolean> {
  if (PASSING.has(answer.status)) return true;
  return answer.status === 409 && (await FlightdeckError.from(answer.clone())).code === 'idempotency_key_in_use';
}
