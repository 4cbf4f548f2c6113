import { HttpClient } from './http-client.js';
import { percentile } from './percentile.js';

/** Requests per second and the times of one request, in ms. */
export interface Load {
  per_second: number;
  p50: number;
  p99: number;
}

export interface Request {
  method: string;
  path: string;
  body?: unknown;
  /** An API key. */
  token?: string;
}

/** Asks for as much as the server gives, for some seconds. Throws when not every answer was a success. */
export async function load(
  url: string,
  { method, path, body, token }: Request,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<Load> {
  const client = new HttpClient(url, connections);
  const request = client.prepare(method, path, body, token);
  const times: number[] = [];
  const begin = performance.now();
  const end = begin + seconds * 1000;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      for (let asked = performance.now(); asked < end;) {
        const { status, body: text } = await client.ask(request);
        if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text.toString()}`);
        const answered = performance.now();
        times.push(answered - asked);
        asked = answered;
      }
    }),
  );
  const elapsed = (performance.now() - begin) / 1000;
  client.close();
  times.sort((a, b) => a - b);
  return { per_second: times.length / elapsed, p50: percentile(times, 50), p99: percentile(times, 99) };
}
