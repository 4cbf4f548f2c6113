import { InvalidInput } from '../errors/common.errors.js';

/**
 * Where in the log a reader is. Events are ordered by the transaction that wrote them, then by number: the number alone
 * is handed out before the commit, so a reader that only compared numbers could pass by one that commits late.
 */
export interface Position {
  /** Transaction id (xid8), as decimal text. */
  txid: string;
  seq: string;
}

export const START: Position = { txid: '0', seq: '0' };

/** What xid8 and bigint hold. */
const LARGEST = { txid: 2n ** 64n - 1n, seq: 2n ** 63n - 1n };

/** The opaque form that clients get. */
export const encodePosition = ({ txid, seq }: Position): string => Buffer.from(`${txid}.${seq}`).toString('base64url');

/** Throws InvalidInput naming `pointer` when the text is not a position. */
export function decodePosition(text: string, pointer: string): Position {
  const match = /^(\d{1,20})\.(\d{1,19})$/.exec(Buffer.from(text, 'base64url').toString());
  const fits = match && BigInt(match[1]!) <= LARGEST.txid && BigInt(match[2]!) <= LARGEST.seq;
  if (!fits) throw foreignPosition(pointer);
  return { txid: match[1]!, seq: match[2]! };
}

export const foreignPosition = (pointer: string): InvalidInput =>
  new InvalidInput([{ pointer, detail: 'is not a position that this server gave' }]);

export function isAfter(a: Position, b: Position): boolean {
  const [left, right] = [BigInt(a.txid), BigInt(b.txid)];
  return left === right ? BigInt(a.seq) > BigInt(b.seq) : left > right;
}
