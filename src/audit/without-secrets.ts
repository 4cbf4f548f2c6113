import { oneLine } from '../platform/logging/one-line.js';

/** What stands for what was cut out of a record. */
export type Cut = { $cut: 'secret' } | { $cut: 'size'; bytes: number };

/** Larger values are cut out of a record: they belong to clients, and may be anything. */
export const MOST_VALUE_BYTES = 8_192;

const SECRET: Cut = { $cut: 'secret' };

/** Names under which people keep what nobody else should read. */
const SECRET_NAME =
  /(pass(word|wd|phrase)|(^|_|-)p(wd|w)$|secret|token|credential|authorization|cookie|api_?-?key|access_?-?key|private_?-?key|jwt)/i;
/** Names that only sound so. */
const HARMLESS_NAME =
  /^(max|min|total|used|prompt|completion|input|output|cached)_?tokens?(_.*)?$|^tokens?_(used|in|out|count|limit)$|^tokens$/i;

/** Secrets that can be known by their form, wherever they stand: our keys, tokens, passwords in addresses. */
const SECRET_TEXTS = [
  /\bfd_[A-Za-z0-9]{1,32}_[A-Za-z0-9_-]{8,128}/g,
  /(?<![\w-])eyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g,
  /(?<=\b(?:Bearer|Basic) )[A-Za-z0-9._~+/=-]{8,}/gi,
  /(?<=\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s:/@"']{0,200}:)[^\s/"']+(?=@)/gi,
];

/** A short text of the client, as one line without secrets. */
export function safeText(text: string, most: number): string {
  const line = oneLine(maskSecretTexts(text.slice(0, most * 4).toWellFormed()));
  return line.length > most ? `${line.slice(0, most)}…` : line;
}

/** A value of a field as a record may show it: not if its name or form says that it is secret, nor if it is large. */
export function safeValue(name: string, value: unknown): unknown {
  if (value === undefined) return null;
  if (isSecretName(name) && !isEmpty(value)) return SECRET;
  const json = JSON.stringify(value);
  const bytes = Buffer.byteLength(json);
  if (bytes > MOST_VALUE_BYTES) return { $cut: 'size', bytes } satisfies Cut;
  return withoutSecrets(JSON.parse(json));
}

/** Bodies are at most 32 levels deep. */
function withoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return maskSecretTexts(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutSecrets);
  return Object.fromEntries(
    Object.entries(value).map(([name, child]) => [
      maskSecretTexts(name),
      isSecretName(name) && !isEmpty(child) ? SECRET : withoutSecrets(child),
    ]),
  );
}

const isSecretName = (name: string): boolean => SECRET_NAME.test(name) && !HARMLESS_NAME.test(name);

/** That there is none is no secret. */
const isEmpty = (value: unknown): boolean => value === null || value === undefined || value === '';

const maskSecretTexts = (text: string): string => SECRET_TEXTS.reduce((left, form) => left.replace(form, '***'), text);
