import { createHash } from 'node:crypto';

/** The answer to a GET, as it is sent: again and again to all who may have it. */
export interface CachedAnswer {
  /** Weak: a proxy may compress the bytes, the resource stays the same. */
  etag: string;
  /** Those that belong to the body: how a list tells of its pages. */
  headers: Readonly<Record<string, string>>;
  body: Buffer;
}

export function answerOf(body: string, headers: Record<string, string>): CachedAnswer {
  const hash = createHash('sha256').update(JSON.stringify(headers)).update(body).digest('base64url');
  return { etag: `W/"${hash.slice(0, 22)}"`, headers, body: Buffer.from(body) };
}

/** Whether the client has it already: RFC 9110, 13.1.2. */
export function isKnown({ etag }: CachedAnswer, ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  const opaque = (tag: string): string => tag.trim().replace(/^W\//, '');
  return ifNoneMatch.split(',').some((tag) => opaque(tag) === opaque(etag));
}

/** As Keyv keeps a value. */
interface Kept {
  value: CachedAnswer;
  expires?: number | undefined;
}

/** As text, for a store outside. */
export function encodeAnswer({ value, expires }: Kept): string {
  return JSON.stringify({ ...value, body: value.body.toString(), expires });
}

export function decodeAnswer(text: string): Kept {
  const { etag, headers, body, expires } = JSON.parse(text) as CachedAnswer & { expires?: number; body: string };
  return { value: { etag, headers, body: Buffer.from(body) }, expires };
}
