import { Duplex } from 'node:stream';
import type { EmbeddedSession } from './embedded-session.js';
import { greeting, type Message, readMessages } from './protocol.js';

/**
 * What `pg` takes for a TCP connection to a server: its bytes go to the embedded session instead. So types, errors,
 * pooling and prepared statements are those of `pg`, and one pool class serves both kinds of database.
 */
export class EmbeddedSocket extends Duplex {
  private readonly channels = new Set<string>();
  private hasGreeted = false;
  private unread: Buffer = Buffer.alloc(0);
  private batch: Message[] = [];

  constructor(
    private readonly session: EmbeddedSession,
    private readonly server_version: string,
  ) {
    super();
    session.join(this);
  }

  connect(): this {
    process.nextTick(() => this.emit('connect'));
    return this;
  }

  listen(channel: string): void {
    this.channels.add(channel);
  }

  unlisten(channel: string): void {
    if (channel === '*') this.channels.clear();
    else this.channels.delete(channel);
  }

  notify(channel: string, message: Buffer): void {
    if (this.channels.has(channel)) this.push(message);
  }

  // `pg` sets these on its socket; there is no wire to set them on.
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }

  override _read(): void {
    // Answers are pushed as they come.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this._writev([{ chunk }], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.unread = Buffer.concat([this.unread, ...chunks.map(({ chunk }) => chunk)]);
    if (!this.hasGreeted) {
      this.hasGreeted = true;
      this.unread = Buffer.alloc(0);
      this.push(greeting(this.server_version));
      return done();
    }
    const { messages, rest } = readMessages(this.unread);
    this.unread = rest;
    const batches: Message[][] = [];
    for (const message of messages) {
      if (message.type === 'X') continue;
      this.batch.push(message);
      if (message.type !== 'S' && message.type !== 'Q') continue;
      batches.push(this.batch);
      this.batch = [];
    }
    void this.run(batches).then(() => done());
  }

  override _final(done: () => void): void {
    this.session.leave(this);
    this.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.session.leave(this);
    done(error);
  }

  private async run(batches: Message[][]): Promise<void> {
    for (const batch of batches) {
      const answer = await this.session.submit(this, batch);
      if (!this.destroyed) this.push(answer);
    }
  }
}
