import type { FastifyInstance } from 'fastify';
import { InvalidInput, MalformedRequest } from '../errors/common.errors.js';
import type { FieldError } from '../errors/domain-error.js';
import { BodyEncoded, BodyTooLarge } from './http.errors.js';
import { lossyNumber } from './lossy-number.js';

const MAX_DEPTH = 32;
/** Enough for a person; a hostile body could have a hundred thousand. */
const MAX_ERRORS = 20;
/** Of a place or a number: keys may be as large as the body, and 20 errors with one would be many times that. */
const SHOWN = 200;
/** What PostgreSQL cannot store as text: U+0000 and halves of surrogate pairs. Only as escapes can they be in JSON. */
const SUSPECT = /\\u(0000|d[89a-f])/i;
const FORBIDDEN_KEY = /"(__proto__|constructor)"|\\u/;

/** Room for the rest of a body whose output may be as large as the usual limit, and a bit larger to be told so. */
const LARGE_OUTPUT_BYTES = 1_048_576 + 65_536;

/** Reads JSON bodies: not deeper than 32 levels, without keys that pollute prototypes, without text that is no text. */
export function acceptJson(fastify: FastifyInstance, limit: number): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(
    /^application\/([\w.-]+\+)?json\s*(;|$)/i,
    { parseAs: 'buffer', bodyLimit: limit + LARGE_OUTPUT_BYTES },
    (request, bytes, done) => {
      try {
        const encoding = request.headers['content-encoding'];
        if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw new BodyEncoded(encoding);
        const { takes_large_output } = request.routeOptions.config as { takes_large_output?: boolean };
        const allowed = takes_large_output ? limit + LARGE_OUTPUT_BYTES : limit;
        if (bytes.length > allowed) throw new BodyTooLarge(limit);
        done(null, parseBody(decode(bytes as Buffer)));
      } catch (error) {
        done(error as Error);
      }
    },
  );
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Drops a byte order mark, and refuses what would otherwise silently become U+FFFD. */
function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new MalformedRequest('The body is not valid UTF-8');
  }
}

/** Throws MalformedRequest (400) or InvalidInput (422). An empty body is none. */
export function parseBody(text: string): unknown {
  if (text.trim() === '') return undefined;
  const body = parse(text);
  check(body, FORBIDDEN_KEY.test(text), SUSPECT.test(text));
  const lossy = lossyNumber(text);
  if (lossy) {
    throw new InvalidInput([
      { pointer: '', detail: `holds the number ${shown(lossy)}, which JSON readers change; send it as text` },
    ]);
  }
  return body;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new MalformedRequest(`The body is not valid JSON: ${(error as Error).message.split('\n', 1)[0]}`);
  }
}

/** Walks without recursion, so that a deep body cannot exhaust the stack. */
function check(body: unknown, mayHaveForbiddenKeys: boolean, mayHaveBadText: boolean): void {
  const open: { value: unknown; pointer: string; depth: number }[] = [{ value: body, pointer: '', depth: 0 }];
  const errors: FieldError[] = [];
  for (let entry = open.pop(); entry && errors.length < MAX_ERRORS; entry = open.pop()) {
    const { value, pointer, depth } = entry;
    if (typeof value === 'string') {
      if (mayHaveBadText && !isText(value))
        errors.push({ pointer: shown(pointer), detail: 'holds U+0000 or half a surrogate pair' });
      continue;
    }
    if (typeof value !== 'object' || value === null) continue;
    if (depth >= MAX_DEPTH)
      throw new InvalidInput([{ pointer: '', detail: `is nested deeper than ${MAX_DEPTH} levels` }]);
    for (const [key, child] of Object.entries(value)) {
      if (mayHaveForbiddenKeys && (key === '__proto__' || key === 'constructor')) {
        throw new MalformedRequest(`The key ${key} is not allowed in a body`);
      }
      if (mayHaveBadText && !isText(key))
        errors.push({ pointer: shown(pointer), detail: 'has a key with U+0000 or half a surrogate pair' });
      if (typeof child === 'object' || mayHaveBadText) {
        open.push({ value: child, pointer: `${pointer}/${escapeKey(key)}`, depth: depth + 1 });
      }
    }
  }
  if (errors.length > 0) throw new InvalidInput(errors);
}

const shown = (text: string): string => (text.length > SHOWN ? `${text.slice(0, SHOWN).toWellFormed()}…` : text);

export const isText = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** As RFC 6901 has it; and a pointer is itself text. */
const escapeKey = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1').toWellFormed();
