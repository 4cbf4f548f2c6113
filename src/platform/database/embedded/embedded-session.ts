import type { PGlite } from '@electric-sql/pglite';
import type { EmbeddedSocket } from './embedded-socket.js';
import {
  type Message,
  readMessages,
  readText,
  readyForQuery,
  text,
  type TransactionStatus,
  writeMessage,
} from './protocol.js';

interface Turn {
  socket: EmbeddedSocket;
  messages: Message[];
  done: (answer: Buffer) => void;
}

/** How long statements may follow each other before the event loop gets its turn. */
const YIELD_AFTER_MS = 8;

/**
 * The one session of the embedded database, shared by many clients. A client has it to itself from BEGIN to COMMIT or
 * ROLLBACK (the server's own status byte says when); otherwise they take turns, first come, first served.
 */
export class EmbeddedSession {
  private waiting: Turn[] = [];
  private readonly sockets = new Set<EmbeddedSocket>();
  /** Statement names are known to the session, not to the client that prepared them. */
  private readonly prepared = new Map<string, string>();
  private owner: EmbeddedSocket | null = null;
  private running = false;
  private lastYield = performance.now();

  constructor(private readonly database: PGlite) {}

  join(socket: EmbeddedSocket): void {
    this.sockets.add(socket);
  }

  /** What a client that leaves still wanted is dropped; a transaction that it is in is rolled back, as on a server. */
  leave(socket: EmbeddedSocket): void {
    if (!this.sockets.delete(socket)) return;
    const dropped = this.waiting.filter((turn) => turn.socket === socket);
    this.waiting = this.waiting.filter((turn) => turn.socket !== socket);
    for (const { done } of dropped) done(Buffer.alloc(0));
    void this.pump();
  }

  /** Runs one batch of messages (up to a Sync or a simple query) and answers with the server's bytes. */
  submit(socket: EmbeddedSocket, messages: Message[]): Promise<Buffer> {
    return new Promise((done) => {
      this.waiting.push({ socket, messages, done });
      void this.pump();
    });
  }

  private async pump(): Promise<void> {
    if (this.running) return;
    this.running = true;
    try {
      for (let turn = this.takeTurn(); turn; turn = this.takeTurn()) {
        turn.done(await this.run(turn));
        if (performance.now() - this.lastYield > YIELD_AFTER_MS) {
          await new Promise((resolve) => setImmediate(resolve));
          this.lastYield = performance.now();
        }
      }
    } finally {
      this.running = false;
    }
  }

  private takeTurn(): Turn | undefined {
    // It may have left while its BEGIN was running.
    if (this.owner && !this.sockets.has(this.owner)) return rollbackOf(this.owner);
    const index = this.owner === null ? 0 : this.waiting.findIndex(({ socket }) => socket === this.owner);
    return index < 0 ? undefined : this.waiting.splice(index, 1)[0];
  }

  private async run({ socket, messages }: Turn): Promise<Buffer> {
    const channel = listenedChannel(messages);
    if (channel?.command === 'UNLISTEN') {
      socket.unlisten(channel.name);
      // Another client may still listen: the session itself goes on, only this client hears no more.
      return Buffer.concat([writeMessage('C', text('UNLISTEN')), readyForQuery(this.owner ? 'T' : 'I')]);
    }
    const { wanted, known } = this.withoutKnownStatements(messages);
    let answer: Buffer;
    try {
      answer = await this.exec(Buffer.concat(wanted.map(({ raw }) => raw)));
    } catch (error) {
      this.owner = null;
      for (const each of this.sockets) each.destroy(error instanceof Error ? error : new Error(String(error)));
      return Buffer.alloc(0);
    }
    if (channel) socket.listen(channel.name);
    return this.deliver(socket, messages, known ? Buffer.concat([writeMessage('1'), answer]) : answer);
  }

  /** As a stream: otherwise PGlite reads every message itself, which takes a quarter of all time. */
  private async exec(message: Buffer): Promise<Buffer> {
    const pieces: Buffer[] = [];
    await this.database.execProtocolRawStream(message, {
      // The bytes are the server's own memory.
      onRawData: (piece) => pieces.push(Buffer.from(piece)),
    });
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  /** Two clients may prepare the same named statement; the session needs it once. */
  private withoutKnownStatements(messages: Message[]): { wanted: Message[]; known: boolean } {
    const parse = messages.find(({ type }) => type === 'P');
    if (!parse) return { wanted: messages, known: false };
    const { value: name, next } = readText(parse.body);
    const known = name !== '' && this.prepared.get(name) === readText(parse.body, next).value;
    return { wanted: known ? messages.filter((message) => message !== parse) : messages, known };
  }

  private deliver(socket: EmbeddedSocket, sent: Message[], answer: Buffer): Buffer {
    const { messages } = readMessages(answer);
    const kept: Buffer[] = [];
    for (const message of messages) {
      if (message.type === 'A') this.notify(message);
      else kept.push(message.raw);
      if (message.type === '1') this.remember(sent);
      if (message.type === 'Z') {
        const status = String.fromCharCode(message.body[0]!) as TransactionStatus;
        this.owner = status === 'I' ? null : socket;
      }
    }
    return kept.length === messages.length ? answer : Buffer.concat(kept);
  }

  private remember(sent: Message[]): void {
    const parse = sent.find(({ type }) => type === 'P');
    if (!parse) return;
    const { value: name, next } = readText(parse.body);
    if (name !== '') this.prepared.set(name, readText(parse.body, next).value);
  }

  private notify(message: Message): void {
    const channel = readText(message.body, 4).value;
    for (const socket of this.sockets) socket.notify(channel, message.raw);
  }
}

function rollbackOf(socket: EmbeddedSocket): Turn {
  const raw = writeMessage('Q', text('ROLLBACK'));
  return { socket, messages: [{ type: 'Q', body: raw.subarray(5), raw }], done: () => undefined };
}

const LISTEN = /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(LISTEN|UNLISTEN)\s+"?([^\s";]+)"?/i;

function listenedChannel(messages: Message[]): { command: 'LISTEN' | 'UNLISTEN'; name: string } | undefined {
  const query = messages.find(({ type }) => type === 'Q');
  const match = query && LISTEN.exec(readText(query.body).value);
  return match ? { command: match[1]!.toUpperCase() as 'LISTEN' | 'UNLISTEN', name: match[2]! } : undefined;
}
