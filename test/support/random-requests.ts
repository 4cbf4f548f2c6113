import fc, { type Arbitrary } from 'fast-check';
import { type ApiDocument, type Operation, resolved, type Schema } from './api-document.js';

/** A request as it goes over the wire. */
export interface RandomRequest {
  url: string;
  headers: Record<string, string>;
  payload: string | undefined;
}

const UNKNOWN_ID = '01890000-0000-7000-8000-000000000000';
/** fast-check knows none: what it then makes is now and then invalid, which is as good. */
const LOOKAHEAD = /\(\?!.*?\)/g;
const MOST = 3;
const LONGEST = 30;

/** What handlers are most likely to stumble over. */
export const HOSTILE_TEXTS = [
  '',
  ' ',
  '\u0000',
  '\ud800',
  "' OR 1=1 --",
  '"; DROP TABLE tasks; --',
  '${{ input }}',
  '${{',
  '%',
  '_',
  '\\',
  '__proto__',
  'constructor',
  'null',
  'NaN',
  '-1',
  '1e400',
  '9'.repeat(40),
  '0001-01-01T00:00:00Z',
  '9999-12-31T23:59:60Z',
  '2026-02-30T00:00:00Z',
  '-infinity',
  '\u202e\ufeff\u{1f600}',
  'x'.repeat(5_000),
  UNKNOWN_ID,
];
const HOSTILE_VALUES: unknown[] = [
  ...HOSTILE_TEXTS,
  null,
  true,
  false,
  0,
  -0,
  -1,
  0.1,
  2_147_483_648,
  Number.MAX_SAFE_INTEGER,
  5e-324,
  1.7e308,
  [],
  {},
  [[]],
  [null],
  { a: { b: [] } },
  { toString: 1, length: -1 },
];
const hostile = fc.constantFrom(...HOSTILE_VALUES);

/** Values that the schema allows. */
export function valid(document: ApiDocument, schema: Schema): Arbitrary<unknown> {
  const all = resolved(document, schema);
  const options = all.anyOf ?? all.oneOf;
  if (options) return fc.oneof(...options.map((option) => valid(document, option)));
  if (all.enum) return fc.constantFrom(...all.enum);
  const types = [all.type ?? []].flat();
  if (types.length === 0) return fc.jsonValue({ maxDepth: 2 });
  return fc.oneof(...types.map((type) => ofType(document, all, type)));
}

function ofType(document: ApiDocument, schema: Schema, type: string): Arbitrary<unknown> {
  const { minimum = -1e9, maximum = 1e9, exclusiveMinimum, minItems = 0, maxItems = MOST } = schema;
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.oneof(fc.constantFrom(minimum, maximum), fc.integer({ min: minimum, max: maximum }));
    case 'number':
      return exclusiveMinimum === undefined
        ? fc.double({ min: minimum, max: maximum, noNaN: true })
        : fc.double({ min: exclusiveMinimum, max: maximum, minExcluded: true, noNaN: true });
    case 'array':
      return fc.array(valid(document, schema.items!), { minLength: minItems, maxLength: Math.min(maxItems, MOST) });
    case 'object':
      return ofFields(document, schema);
    default:
      return text(schema);
  }
}

function text({ format, pattern, minLength = 0, maxLength = LONGEST }: Schema): Arbitrary<string> {
  if (format === 'uuid') return fc.oneof(fc.uuid(), fc.constant(UNKNOWN_ID));
  if (format === 'date-time') {
    return fc
      .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
      .map((date) => date.toISOString());
  }
  if (pattern !== undefined)
    return fc
      .stringMatching(new RegExp(pattern.replace(LOOKAHEAD, '')))
      .filter(({ length }) => length >= minLength && length <= Math.max(maxLength, LONGEST));
  return fc.string({ unit: 'grapheme', minLength, maxLength: Math.max(minLength, Math.min(maxLength, LONGEST)) });
}

function ofFields(
  document: ApiDocument,
  { properties, required = [], additionalProperties }: Schema,
): Arbitrary<unknown> {
  if (!properties) {
    const value =
      typeof additionalProperties === 'object' ? valid(document, additionalProperties) : fc.jsonValue({ maxDepth: 2 });
    return fc.dictionary(fc.string({ maxLength: 10 }), value, { maxKeys: MOST });
  }
  const fields = Object.entries(properties).map(([name, schema]) => [name, valid(document, schema)] as const);
  return fc.record(Object.fromEntries(fields), { requiredKeys: required });
}

/** The same with something wrong somewhere, also deep within. */
const spoiled = (body: unknown): Arbitrary<unknown> =>
  fc.oneof(
    hostile,
    fc.nat().chain((at) => hostile.map((value) => replaceAt(body, at, value))),
    fc.nat().map((at) => removeAt(body, at)),
    fc
      .dictionary(fc.constantFrom('id', 'status', 'created_at', 'toString', 'version'), hostile)
      .map((more) => (isObject(body) ? { ...body, ...more } : more)),
  );

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Every place within a value, as the way to it. */
function placesIn(value: unknown, way: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [way];
  return [way, ...Object.entries(value).flatMap(([key, child]) => placesIn(child, [...way, key]))];
}

function changeAt(value: unknown, at: number, change: (parent: Record<string, unknown>, key: string) => void): unknown {
  const places = placesIn(value).slice(1);
  if (places.length === 0) return value;
  const copy = structuredClone(value);
  const way = places[at % places.length]!;
  const parent = way.slice(0, -1).reduce((inside, key) => (inside as Record<string, unknown>)[key], copy);
  change(parent as Record<string, unknown>, way.at(-1)!);
  return copy;
}

const replaceAt = (value: unknown, at: number, by: unknown): unknown =>
  changeAt(value, at, (parent, key) => {
    parent[key] = by;
  });

const removeAt = (value: unknown, at: number): unknown =>
  changeAt(value, at, (parent, key) => {
    if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete parent[key];
  });

/** Bytes that are no JSON, or not what they are said to be. */
const broken = fc.constantFrom(
  '{',
  '[1,]',
  '"',
  '\ufeff{}',
  '{"a":1e400}',
  '{"__proto__":{}}',
  '{"a":1}{',
  'nul',
  '[]',
  '"text"',
  '0',
  '   ',
);

const TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'application/merge-patch+json',
  'text/plain',
  'application/xml',
  'x',
];

/** Requests to a route: most are right, some are wrong in one place, some are no request at all. */
export function requestsTo(
  document: ApiDocument,
  { path, method, parameters, body }: Operation,
  idsOf: (name: string) => readonly string[],
): Arbitrary<RandomRequest> {
  const queries = fc.record(
    Object.fromEntries(
      parameters
        .filter(({ in: place }) => place === 'query')
        .map(({ name, schema }) => [name, queryValue(document, schema)]),
    ),
    { requiredKeys: [] },
  );
  const places = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  const ids = fc.tuple(...places.map((name) => pathValue(idsOf(name))));
  const key = parameters.some(({ name }) => name === 'Idempotency-Key')
    ? fc.option(fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom('', 'same', 'x'.repeat(256))), {
        nil: undefined,
        freq: 4,
      })
    : fc.constant(undefined);
  const type = fc.oneof(
    { weight: 20, arbitrary: fc.constant(TYPES[0]!) },
    { weight: 1, arbitrary: fc.constantFrom(...TYPES) },
  );
  return fc
    .record({ queries, ids, key, type, payload: payloads(document, body, method) })
    .map(({ queries, ids, key, type, payload }) => {
      const query = Object.entries(queries).flatMap(([name, value]) =>
        [value].flat().map((one) => `${name}=${escaped(String(one))}`),
      );
      let at = 0;
      const filled = path.replaceAll(/\{\w+\}/g, () => escaped(ids[at++]!));
      return {
        url: query.length > 0 ? `${filled}?${query.join('&')}` : filled,
        headers: {
          ...(payload !== undefined && { 'content-type': type }),
          ...(key !== undefined && { 'idempotency-key': key }),
        },
        payload,
      };
    });
}

function payloads(document: ApiDocument, body: Schema | null, method: string): Arbitrary<string | undefined> {
  if (method === 'GET') return fc.constant(undefined);
  const nothing = fc.constant(undefined);
  // A route that takes no body is sent one as well.
  const right = body ? valid(document, body) : fc.constant({});
  return fc.oneof(
    { weight: 6, arbitrary: right.map((value) => JSON.stringify(value)) },
    { weight: 6, arbitrary: right.chain(spoiled).map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: broken },
    { weight: body ? 1 : 12, arbitrary: nothing },
  );
}

const queryValue = (document: ApiDocument, schema: Schema): Arbitrary<unknown> =>
  fc.oneof(
    { weight: 5, arbitrary: valid(document, schema).map((value) => (Array.isArray(value) ? value.join(',') : value)) },
    { weight: 2, arbitrary: fc.constantFrom<unknown>(...HOSTILE_TEXTS) },
    // The same parameter twice.
    { weight: 1, arbitrary: fc.array(fc.constantFrom(...HOSTILE_TEXTS), { minLength: 2, maxLength: 3 }) },
  );

const pathValue = (known: readonly string[]): Arbitrary<string> =>
  fc.oneof(
    { weight: 8, arbitrary: known.length > 0 ? fc.constantFrom(...known) : fc.constant(UNKNOWN_ID) },
    { weight: 1, arbitrary: fc.oneof(fc.uuid(), fc.constant(UNKNOWN_ID)) },
    // An empty one, or one of dots, would be another path.
    { weight: 1, arbitrary: fc.constantFrom(...HOSTILE_TEXTS.filter((text) => text.trim() !== '')) },
  );

/** What is no text cannot be written in a URL: it is sent as bytes that are no UTF-8. */
const escaped = (text: string): string => (text.isWellFormed() ? encodeURIComponent(text) : '%ed%a0%80');
