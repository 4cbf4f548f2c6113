/**
 * The few parts of PostgreSQL's wire protocol that sharing one session needs. Source: "Frontend/Backend Protocol",
 * PostgreSQL manual, chapter 54. A message is a type byte, an int32 length that counts itself, and the body.
 */
export interface Message {
  type: string;
  body: Buffer;
  /** The whole message, with its type and length. */
  raw: Buffer;
}

/** Cuts a buffer into whole messages; what is left over is the beginning of the next one. */
export function readMessages(buffer: Buffer): { messages: Message[]; rest: Buffer } {
  const messages: Message[] = [];
  let at = 0;
  while (at + 5 <= buffer.length) {
    const end = at + 1 + buffer.readInt32BE(at + 1);
    if (end > buffer.length) break;
    messages.push({
      type: String.fromCharCode(buffer[at]!),
      body: buffer.subarray(at + 5, end),
      raw: buffer.subarray(at, end),
    });
    at = end;
  }
  return { messages, rest: buffer.subarray(at) };
}

export function writeMessage(type: string, body: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

export const text = (...values: string[]): Buffer => Buffer.from(values.map((value) => `${value}\0`).join(''));

/** A zero-terminated string at `from`. */
export function readText(body: Buffer, from = 0): { value: string; next: number } {
  const end = body.indexOf(0, from);
  return { value: body.toString('utf8', from, end), next: end + 1 };
}

/** 'I' outside a transaction, 'T' inside one, 'E' inside a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E';

export const readyForQuery = (status: TransactionStatus): Buffer => writeMessage('Z', Buffer.from(status));

/** What a server says after the start-up packet of a client that it trusts. */
export const greeting = (version: string): Buffer =>
  Buffer.concat([
    writeMessage('R', Buffer.alloc(4)),
    writeMessage('S', text('server_version', version)),
    writeMessage('S', text('client_encoding', 'UTF8')),
    writeMessage('S', text('DateStyle', 'ISO, MDY')),
    writeMessage('K', Buffer.alloc(8)),
    readyForQuery('I'),
  ]);
