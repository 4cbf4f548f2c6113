import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { eventually } from './eventually.js';

/** The kinds of frames that RFC 6455 knows. */
export enum Opcode {
  Continuation = 0,
  Text = 1,
  Binary = 2,
  Close = 8,
  Ping = 9,
  Pong = 10,
}

interface Frame {
  opcode: Opcode | 7;
  is_final?: boolean;
  is_masked?: boolean;
  /** The three bits that extensions use. */
  reserved?: number;
  /** What the frame says of its length, if that is not true. */
  claimed_length?: bigint;
}

/** A WebSocket without a library around it: it sends also what no library would. */
export class RawSocket {
  /** What came, as text: the answer to the upgrade, then the contents of the frames. */
  received = '';
  isClosed = false;

  private unread = Buffer.alloc(0);
  private isUpgraded = false;

  private constructor(private readonly socket: Socket) {
    socket.on('data', (bytes: Buffer) => {
      this.unread = Buffer.concat([this.unread, bytes]);
      this.read();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** Sends the upgrade and waits for its answer, whatever it is. */
  static async open(url: string, headers: Record<string, string> = {}, path = '/socket.io/'): Promise<RawSocket> {
    const { hostname, port, host } = new URL(url);
    const raw = new RawSocket(connect(Number(port), hostname));
    const all = {
      Host: host,
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      ...headers,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    raw.sendBytes(Buffer.from(`GET ${path}?EIO=4&transport=websocket HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'));
    await raw.until('\r\n\r\n');
    return raw;
  }

  /** Also a member of the namespace, as every client is. */
  static async join(url: string): Promise<RawSocket> {
    const raw = await RawSocket.open(url);
    await raw.until('"sid"');
    raw.sendText('40');
    await raw.until('40{"sid"');
    return raw;
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.received)?.[1]);
  }

  sendText(text: string): void {
    this.sendFrame({ opcode: Opcode.Text }, Buffer.from(text));
  }

  sendFrame({ opcode, is_final = true, is_masked = true, reserved = 0, claimed_length }: Frame, payload: Buffer): void {
    const length = claimed_length ?? BigInt(payload.length);
    const head = Buffer.alloc(10);
    head[0] = (is_final ? 0x80 : 0) | (reserved << 4) | opcode;
    head[1] = (is_masked ? 0x80 : 0) | 127;
    head.writeBigUInt64BE(length, 2);
    const mask = randomBytes(4);
    const masked = payload.map((byte, index) => byte ^ mask[index % 4]!);
    this.sendBytes(Buffer.concat(is_masked ? [head, mask, masked] : [head, payload]));
  }

  sendBytes(bytes: Buffer): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  until(text: string): Promise<void> {
    return eventually(() => {
      if (this.received.includes(text)) return;
      if (this.isClosed) throw new Error(`It is closed; it got ${this.received}`);
      throw new Error(`It waits for ${text}; it got ${this.received}`);
    });
  }

  /** The head of the answer first, then frames; what is refused has only text. */
  private read(): void {
    if (!this.isUpgraded) {
      const end = this.unread.indexOf('\r\n\r\n');
      const isRefused = !this.unread.toString('latin1', 0, 12).endsWith('101');
      if (isRefused || end < 0) {
        this.received += isRefused ? this.unread.toString() : '';
        this.unread = isRefused ? Buffer.alloc(0) : this.unread;
        return;
      }
      this.isUpgraded = true;
      this.received += this.unread.toString('latin1', 0, end + 4);
      this.unread = this.unread.subarray(end + 4);
    }
    for (let frame = this.nextFrame(); frame; frame = this.nextFrame()) {
      this.received += frame.contents;
      // Otherwise the server would wait for our part of the farewell.
      if (frame.opcode === Opcode.Close) this.socket.destroy();
    }
  }

  private nextFrame(): { opcode: Opcode; contents: string } | null {
    const short = this.unread.length < 2 ? null : this.unread[1]! & 0x7f;
    if (short === null) return null;
    const [from, length] =
      short < 126
        ? [2, () => short]
        : short === 126
          ? [4, () => this.unread.readUInt16BE(2)]
          : [10, () => Number(this.unread.readBigUInt64BE(2))];
    if (this.unread.length < from || this.unread.length < from + length()) return null;
    const frame = { opcode: this.unread[0]! & 0x0f, contents: this.unread.toString('utf8', from, from + length()) };
    this.unread = this.unread.subarray(from + length());
    return frame;
  }

  untilClosed(): Promise<void> {
    return eventually(() => {
      if (!this.isClosed) throw new Error('It is still open');
    });
  }

  close(): void {
    this.socket.destroy();
  }
}
