import type { ProblemDocument } from './resources.js';

const SHOWN_TEXT = 200;

/** A call that did not succeed: the server's problem document (RFC 9457), or that no answer came. */
export class FlightdeckError extends Error {
  override readonly name = 'FlightdeckError';

  private constructor(
    /** The HTTP status; 0 when no answer came. */
    readonly status: number,
    /**
     * Stable name of the failure, listed in docs/errors.md. Besides: `no_answer` when no answer came, `http_error` when
     * something that is not Flightdeck answered.
     */
    readonly code: string,
    /** A sentence for people. */
    readonly detail: string,
    /** The fields that are wrong. */
    readonly errors: NonNullable<ProblemDocument['errors']> = [],
    /** Names the request in the server's log. */
    readonly request_id: string | null = null,
    /** For how long the server asked not to be asked again. */
    readonly retry_after_seconds: number | null = null,
    options?: ErrorOptions,
  ) {
    super(`${detail} (${status === 0 ? code : `${status} ${code}`})`, options);
  }

  /** The connection could not be made, or broke before the whole answer had come. */
  static noAnswer(url: string, cause: unknown): FlightdeckError {
    const { message: reason } = rootOf(cause);
    const detail = `${new URL(url).origin} does not answer${reason && `: ${reason}`}`;
    return new FlightdeckError(0, 'no_answer', detail, [], null, null, { cause });
  }

  /** Also of a proxy or of a stranger, which know no problem documents. */
  static async from(response: Response): Promise<FlightdeckError> {
    const text = await response.text();
    const { code = 'http_error', detail = otherDetail(response, text), errors, request_id } = parseProblem(text);
    return new FlightdeckError(
      response.status,
      code,
      detail,
      errors,
      request_id ?? response.headers.get('x-request-id'),
      retryAfterSeconds(response),
    );
  }

  /** Whether the same call may succeed later: no answer, too many requests, or a failure of the server's own. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Node's fetch says only that it failed; why is in its cause. */
function rootOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause : error;
}

/** `Retry-After`, which is a number of seconds or a date. */
export function retryAfterSeconds({ headers }: Response): number | null {
  const value = headers.get('retry-after');
  if (value === null) return null;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}

const otherDetail = ({ status }: Response, text: string): string =>
  `The server answered ${status}${text === '' ? '' : `: ${text.slice(0, SHOWN_TEXT)}`}`;

function parseProblem(text: string): Partial<ProblemDocument> {
  try {
    const problem: unknown = JSON.parse(text);
    return typeof problem === 'object' && problem !== null ? problem : {};
  } catch {
    return {};
  }
}
