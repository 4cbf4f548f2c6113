import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

/** `fd_<prefix>_<secret>`, of hexadecimal digits: nothing that a shell, a header or a double click would cut. */
const KEY = /^fd_([0-9a-f]{12})_([0-9a-f]{48})$/;
const PREFIX_BYTES = 6;
const SECRET_BYTES = 24;

/** A key as its owner has it, in its two parts. */
export interface KeyText {
  prefix: string;
  secret: string;
}

export const newPrefix = (): string => randomBytes(PREFIX_BYTES).toString('hex');
/** 192 random bits. */
export const newSecret = (): string => randomBytes(SECRET_BYTES).toString('hex');

export const keyText = ({ prefix, secret }: KeyText): string => `fd_${prefix}_${secret}`;

export function parseKey(text: string): KeyText | null {
  const [, prefix, secret] = KEY.exec(text) ?? [];
  return prefix && secret ? { prefix, secret } : null;
}

/** No salt and no slow hash: with so many random bits there is nothing to guess. */
export const hashSecret = (secret: string): Buffer => Buffer.from(hash('sha256', secret), 'hex');

/** In a time that says nothing about where they differ. */
export const isSameHash = (hash: Buffer, other: Buffer): boolean => timingSafeEqual(hash, other);
