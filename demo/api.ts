import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 30_000;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 2_000;

/** The server said no: the problem document of its answer. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(`${detail} (${status} ${code})`);
  }
}

export interface CallOptions {
  signal?: AbortSignal;
  /** Makes a repeated POST harmless, where the call is not harmless by itself. */
  creates?: boolean;
}

interface Problem {
  code?: string;
  detail?: string;
  errors?: { pointer: string; detail: string }[];
}

/** The HTTP API as an agent sees it. A server that is away for a moment is asked again. */
export class Api {
  constructor(readonly url: string) {}

  async get<T>(path: string, options: CallOptions = {}): Promise<T> {
    return read<T>(await this.call('GET', path, undefined, options));
  }

  async post<T>(path: string, body: unknown, options: CallOptions = {}): Promise<T> {
    return read<T>(await this.call('POST', path, body, options));
  }

  async patch<T>(path: string, body: unknown, options: CallOptions = {}): Promise<T> {
    return read<T>(await this.call('PATCH', path, body, options));
  }

  /** All items of a list, page after page by cursor. The path has a query. */
  async *list<T>(path: string): AsyncGenerator<T> {
    for (let cursor: string | null = null; ;) {
      const page: string = cursor === null ? path : `${path}&cursor=${encodeURIComponent(cursor)}`;
      const response = await this.call('GET', page, undefined, {});
      yield* await read<T[]>(response);
      cursor = response.headers.get('x-next-cursor');
      if (cursor === null) return;
    }
  }

  private async call(method: string, path: string, body: unknown, options: CallOptions): Promise<Response> {
    const { signal, creates = false } = options;
    const headers: Record<string, string> = { accept: 'application/json' };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (creates) headers['idempotency-key'] = randomUUID();
    // A signal of its own: one that hears of every call of a long life would collect their listeners.
    const ownSignal = signal && AbortSignal.any([signal]);
    const request = { method, headers, signal: ownSignal, body: body === undefined ? undefined : JSON.stringify(body) };

    const giveUpAt = Date.now() + PATIENCE_MS;
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      const response = await fetch(this.url + path, request).catch((error: unknown) => {
        if (signal?.aborted || Date.now() > giveUpAt) throw new Error(`${this.url} does not answer`, { cause: error });
        return null;
      });
      if (response?.ok) return response;
      if (response) {
        const refused = await refusal(response);
        if (!passes(refused) || Date.now() > giveUpAt) throw refused;
      }
      await sleep(wait, undefined, { signal });
    }
  }
}

/** Away for a moment, or still busy with this very request, whose first answer was lost. */
const passes = ({ status, code }: Refused): boolean => status === 503 || code === 'idempotency_key_in_use';

async function read<T>(response: Response): Promise<T> {
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

async function refusal(response: Response): Promise<Refused> {
  const text = await response.text();
  const problem = parseProblem(text);
  const fields = (problem.errors ?? []).map(({ pointer, detail }) => `${pointer} ${detail}`);
  const detail = [problem.detail ?? `The server answered ${text.slice(0, 200)}`, ...fields].join('; ');
  return new Refused(response.status, problem.code ?? 'unknown', detail);
}

function parseProblem(text: string): Problem {
  try {
    return (JSON.parse(text) ?? {}) as Problem;
  } catch {
    return {};
  }
}
