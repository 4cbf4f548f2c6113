import { connect, type Socket } from 'node:net';

/** A text frame with a mask of zeros: the protocol wants one of clients, and zeros change nothing. */
function frameOf(text: string): Buffer {
  const payload = Buffer.from(text);
  const { length } = payload;
  const head = length < 126 ? Buffer.from([0x81, 0x80 | length]) : Buffer.from([0x81, 0xfe, length >> 8, length & 255]);
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}

const CONNECT = frameOf('40');
const PONG = frameOf('3');
const [OPENED, PINGED, MESSAGE] = ['0', '2', '4'].map((text) => text.charCodeAt(0));
const [CONNECTED, EVENT, ACKNOWLEDGED] = ['0', '2', '3'].map((text) => text.charCodeAt(0));

/** What a socket tells of itself. */
export interface Listener {
  onJoined: (answer: string) => void;
  onEvent: (text: Buffer) => void;
  onLost: (reason: string) => void;
}

/**
 * One Socket.IO connection that joins a room and counts what it gets: of the protocols only what that needs, on a bare
 * socket. To the server it is a client over WebSocket like any other; here thousands of them take little.
 */
export class RawSocket {
  private readonly socket: Socket;
  private rest: Buffer = Buffer.alloc(0);
  private isUpgraded = false;
  private isClosed = false;

  constructor(
    url: string,
    private readonly join: { room: string; since?: string },
    private readonly listener: Listener,
  ) {
    const { hostname, port, host } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.setNoDelay(true);
    this.socket.on('connect', () => this.socket.write(upgradeRequest(host)));
    this.socket.on('data', (chunk: Buffer) => this.read(chunk));
    this.socket.on('error', (error) => this.lose(error.message));
    this.socket.on('close', () => this.lose('The server closed the connection'));
  }

  close(): void {
    this.isClosed = true;
    this.socket.destroy();
  }

  private read(chunk: Buffer): void {
    let bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    if (!this.isUpgraded) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) {
        this.rest = bytes;
        return;
      }
      const status = bytes.toString('latin1', 9, 12);
      if (status !== '101') return this.lose(`The upgrade was answered with ${status}`);
      this.isUpgraded = true;
      bytes = bytes.subarray(end + 4);
    }
    this.rest = this.readFrames(bytes);
  }

  /** Answers what is left: the beginning of a frame. */
  private readFrames(bytes: Buffer): Buffer {
    let at = 0;
    for (;;) {
      if (bytes.length < at + 2) break;
      let length = bytes[at + 1]!;
      let begin = at + 2;
      if (length === 126) {
        if (bytes.length < at + 4) break;
        length = bytes.readUInt16BE(at + 2);
        begin = at + 4;
      } else if (length === 127) {
        if (bytes.length < at + 10) break;
        length = Number(bytes.readBigUInt64BE(at + 2));
        begin = at + 10;
      }
      if (bytes.length < begin + length) break;
      if ((bytes[at]! & 15) === 1) this.obey(bytes.subarray(begin, begin + length));
      at = begin + length;
    }
    // A copy: the few bytes would keep the whole chunk.
    return at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
  }

  private obey(text: Buffer): void {
    const [kind, detail] = text;
    if (kind === PINGED) this.socket.write(PONG);
    else if (kind === OPENED) this.socket.write(CONNECT);
    else if (kind !== MESSAGE) this.lose(`An unexpected packet: ${text.toString()}`);
    else if (detail === EVENT) this.listener.onEvent(text);
    else if (detail === CONNECTED) this.socket.write(frameOf(`420${JSON.stringify(['join_room', this.join])}`));
    else if (detail === ACKNOWLEDGED) this.listener.onJoined(text.toString());
    else this.lose(`An unexpected message: ${text.toString()}`);
  }

  private lose(reason: string): void {
    if (this.isClosed) return;
    this.close();
    this.listener.onLost(reason);
  }
}

const NOTHING = Buffer.alloc(0);

const upgradeRequest = (host: string): string =>
  [
    'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1',
    `host: ${host}`,
    'connection: Upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    '\r\n',
  ].join('\r\n');
