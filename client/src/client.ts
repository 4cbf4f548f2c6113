import createFetchClient, { type HeadersOptions, type ParamsOption, type RequestBodyOption } from 'openapi-fetch';
import type {
  FilterKeys,
  PathsWithMethod,
  RequiredKeysOf,
  ResponseObjectMap,
  SuccessResponse,
} from 'openapi-typescript-helpers';
import type { paths } from './api-types.js';
import { FlightdeckError } from './flightdeck-error.js';
import { tryAndTryAgain } from './tries.js';
import { openWatch, type Watch, type WatchOptions } from './watch.js';

const RETRIES = 8;
const TIMEOUT_MS = 60_000;

/**
 * Calls that are harmless to repeat by themselves: a result is proved by its lease, a sign of life says nothing new. A key
 * would also make the server keep their answers, and answer a long poll at once.
 */
const WITHOUT_KEY = /\/(lease|lease\/[a-z]+|heartbeat)$/;

export interface ClientOptions {
  /** Where the server is, such as `http://localhost:8000`. */
  url: string;
  /** Sent as `Authorization: Bearer`. */
  token?: string;
  /** Instead of Node's own. */
  fetch?: typeof globalThis.fetch;
  /** How often a call is tried again that got no answer, 429, 502, 503 or 504. 8 by default: some 10 seconds. */
  retries?: number;
  /** How long one try may take. 60,000 by default. */
  timeoutMs?: number;
}

export interface CallOptions extends Pick<ClientOptions, 'retries' | 'timeoutMs'> {
  /** Ends the call, which rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Makes this call the same as an earlier one, also of another process. Made by the client when it is not given. */
  idempotencyKey?: string;
}

type Method = 'get' | 'put' | 'post' | 'patch' | 'delete';
type Given<Operation> = ParamsOption<Operation> & RequestBodyOption<Operation> & { headers?: HeadersOptions };
type Init<P extends keyof paths, M extends Method> =
  RequiredKeysOf<Given<FilterKeys<paths[P], M>>> extends never
    ? [(Given<FilterKeys<paths[P], M>> & CallOptions)?]
    : [Given<FilterKeys<paths[P], M>> & CallOptions];
type Success<Operation> =
  Operation extends Record<string | number, unknown> ? SuccessResponse<ResponseObjectMap<Operation>> : never;

/** What a call answers. */
export type DataOf<P extends keyof paths, M extends Method> = [Success<paths[P][M]>] extends [undefined]
  ? void
  : Success<paths[P][M]>;

type Call<M extends Method> = <P extends PathsWithMethod<paths, M>>(
  path: P,
  ...init: Init<P, M>
) => Promise<DataOf<P, M>>;

type ItemIn<Data> = Data extends readonly (infer Item)[] ? Item : Data extends { items: (infer Item)[] } ? Item : never;
type ListPath = {
  [P in PathsWithMethod<paths, 'get'>]: ItemIn<DataOf<P, 'get'>> extends never ? never : P;
}[PathsWithMethod<paths, 'get'>];

/** What a list holds. */
export type ItemOf<P extends ListPath> = ItemIn<DataOf<P, 'get'>>;

/**
 * The API. Every call resolves with the answer's body and rejects with a {@link FlightdeckError}. A POST or PATCH that
 * is tried again carries the same `Idempotency-Key` each time, so it happens once.
 */
export interface FlightdeckClient {
  get: Call<'get'>;
  put: Call<'put'>;
  post: Call<'post'>;
  patch: Call<'patch'>;
  delete: Call<'delete'>;
  /** All items of a list, page after page. */
  list<P extends ListPath>(path: P, ...init: Init<P, 'get'>): AsyncGenerator<ItemOf<P>, void, undefined>;
  /** Hears everything that happens in some rooms, such as `tasks` or `run:…`. */
  watch(rooms: string | readonly string[], options: WatchOptions): Watch;
}

/** What is sent, without its types: those are in the signatures above. */
interface Sent extends CallOptions {
  params?: { query?: Record<string, unknown> };
}

export function createClient(options: ClientOptions): FlightdeckClient {
  const { token, fetch = globalThis.fetch, retries = RETRIES, timeoutMs = TIMEOUT_MS } = options;
  const url = options.url.replace(/\/+$/, '');
  const api = createFetchClient<Record<string, Record<Method, object>>>({
    baseUrl: url,
    headers: { accept: 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
  });

  async function send(method: Method, path: string, init: Sent = {}): Promise<{ data: unknown; headers: Headers }> {
    const { signal, idempotencyKey, retries: ownRetries, timeoutMs: ownTimeoutMs, ...request } = init;
    const tries = { fetch, retries: ownRetries ?? retries, timeoutMs: ownTimeoutMs ?? timeoutMs, signal };
    const { data, response } = await api.request(method, path, {
      ...request,
      fetch: async (request: globalThis.Request) => {
        const key = idempotencyKey ?? newKey(request);
        if (key !== null) request.headers.set('idempotency-key', key);
        const answer = await tryAndTryAgain(request, tries);
        if (!answer.ok) throw await FlightdeckError.from(answer);
        return answer;
      },
    });
    return { data, headers: response.headers };
  }

  async function* list(path: string, init: Sent = {}): AsyncGenerator<unknown, void, undefined> {
    for (let cursor: string | null | undefined = undefined; cursor !== null;) {
      const query: Record<string, unknown> = { ...init.params?.query, ...(cursor !== undefined && { cursor }) };
      // A cursor says by itself where to go on.
      if (cursor !== undefined) delete query.skip;
      const { data, headers } = await send('get', path, { ...init, params: { ...init.params, query } });
      const isPage = !Array.isArray(data);
      yield* (isPage ? (data as { items: unknown[] }).items : data) as unknown[];
      cursor = isPage ? (data as { next_cursor: string | null }).next_cursor : headers.get('x-next-cursor');
    }
  }

  const call = (method: Method) => async (path: string, init?: Sent) => (await send(method, path, init)).data;
  return {
    get: call('get'),
    put: call('put'),
    post: call('post'),
    patch: call('patch'),
    delete: call('delete'),
    list,
    watch: (rooms: string | readonly string[], watchOptions: WatchOptions) =>
      openWatch({ url, token }, typeof rooms === 'string' ? [rooms] : rooms, watchOptions),
  } as unknown as FlightdeckClient;
}

function newKey({ method, url, headers }: globalThis.Request): string | null {
  const isKept = method === 'POST' || method === 'PATCH';
  if (!isKept || headers.has('idempotency-key') || WITHOUT_KEY.test(new URL(url).pathname)) return null;
  return crypto.randomUUID();
}
