import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Answer {
  status: number;
  /** The status line and the headers, as they came. */
  head: string;
  body: Buffer;
}

const MOST_TRIES = 50;
const AFTER_503_MS = 100;
const END_OF_HEAD = '\r\n\r\n';

/**
 * HTTP over kept-alive connections, as little of it as our servers speak: one request at a time on each, answers with a
 * content-length. It runs beside what is measured, on the same cores, and takes a fraction of `node:http`'s time.
 */
export class HttpClient {
  private readonly all = new Set<Connection>();
  private readonly idle: Connection[] = [];
  private readonly waiting: { resolve: (connection: Connection) => void; reject: (error: Error) => void }[] = [];
  private count = 0;
  private readonly host: string;
  private readonly port: number;

  constructor(
    readonly url: string,
    private readonly limit: number,
  ) {
    const { hostname, port } = new URL(url);
    this.host = hostname;
    this.port = Number(port);
  }

  /** Calls that were answered with 503 and made again, of all clients. */
  static repeated = 0;

  /** Does as a 503 says, and tries again; throws when the answer is no success otherwise. */
  async call<Body>(method: string, path: string, body?: unknown): Promise<Body> {
    const request = this.prepare(method, path, body);
    let answer = await this.ask(request);
    for (let tries = 1; answer.status === 503 && tries < MOST_TRIES; tries++) {
      HttpClient.repeated++;
      await sleep(AFTER_503_MS);
      answer = await this.ask(request);
    }
    const text = answer.body.toString();
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return (text === '' ? null : JSON.parse(text)) as Body;
  }

  /** The bytes of a request, for those that are sent many times. */
  prepare(method: string, path: string, body?: unknown, token?: string): Buffer {
    const payload = body === undefined ? '' : JSON.stringify(body);
    const type = body === undefined ? '' : 'content-type: application/json\r\n';
    const credential = token === undefined ? '' : `authorization: Bearer ${token}\r\n`;
    const length = `content-length: ${Buffer.byteLength(payload)}`;
    return Buffer.from(
      `${method} ${path} HTTP/1.1\r\nhost: ${this.host}:${this.port}\r\n${credential}${type}${length}${END_OF_HEAD}${payload}`,
    );
  }

  async ask(request: Buffer): Promise<Answer> {
    const connection = await this.take();
    try {
      return await connection.ask(request);
    } finally {
      this.giveBack(connection);
    }
  }

  /** Who still waits for an answer gets an error. */
  close(): void {
    for (const connection of this.all) connection.close();
  }

  private async take(): Promise<Connection> {
    for (let connection = this.idle.pop(); connection; connection = this.idle.pop()) {
      if (connection.isOpen) return connection;
      this.forget(connection);
    }
    if (this.count >= this.limit) return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    this.count++;
    try {
      const connection = await Connection.open(this.host, this.port);
      this.all.add(connection);
      return connection;
    } catch (error) {
      this.count--;
      throw error;
    }
  }

  private forget(connection: Connection): void {
    this.count--;
    this.all.delete(connection);
  }

  private giveBack(connection: Connection): void {
    if (!connection.isOpen) this.forget(connection);
    const next = this.waiting.shift();
    if (!next) {
      if (connection.isOpen) this.idle.push(connection);
    } else if (connection.isOpen) {
      next.resolve(connection);
    } else {
      this.take().then(next.resolve, next.reject);
    }
  }
}

class Connection {
  private chunks: Buffer[] = [];
  private received = 0;
  /** Bytes of the whole answer, and of its head; 0 until the head is there. */
  private expected = 0;
  private headLength = 0;
  private pending: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | null = null;

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.read(chunk));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('The server closed the connection')));
  }

  static async open(host: string, port: number): Promise<Connection> {
    const socket = connect(port, host);
    await once(socket, 'connect');
    return new Connection(socket);
  }

  get isOpen(): boolean {
    return this.socket.writable;
  }

  ask(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.pending = { resolve, reject };
      this.socket.write(request);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private read(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.received += chunk.length;
    if (this.expected === 0) this.readHead();
    if (this.expected === 0 || this.received < this.expected) return;
    const bytes = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks);
    const head = bytes.toString('latin1', 0, this.headLength);
    const answer = { status: Number(head.slice(9, 12)), head, body: bytes.subarray(this.headLength) };
    const { pending } = this;
    this.chunks = [];
    this.received = this.expected = 0;
    this.pending = null;
    pending?.resolve(answer);
  }

  private readHead(): void {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)];
    const bytes = this.chunks[0]!;
    const end = bytes.indexOf(END_OF_HEAD);
    if (end < 0) return;
    const head = bytes.toString('latin1', 0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined && !head.startsWith('HTTP/1.1 204')) {
      this.fail(new Error(`An answer without a length: ${head}`));
      return;
    }
    this.headLength = end + END_OF_HEAD.length;
    this.expected = this.headLength + Number(length ?? 0);
  }

  private fail(error: Error): void {
    this.socket.destroy();
    this.pending?.reject(error);
    this.pending = null;
  }
}
