import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A bad network between a client and a server. */
export class Proxy {
  /** How many answers got lost on their way: the server had done what was asked. */
  dropped = 0;
  private isLost: (sent: string) => boolean = () => false;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private port: number,
  ) {
    server.on('connection', (client: Socket) => this.forward(client));
  }

  static async to(url: string): Promise<Proxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Proxy(server, Number(new URL(url).port));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  /** From now on it leads to this server. */
  leadTo(url: string): void {
    this.port = Number(new URL(url).port);
  }

  /** Cuts the connection instead of giving the next answers to requests that contain the text. */
  dropAnswers(count: number, to: string): void {
    let left = count;
    this.loseAnswers((sent) => left > 0 && sent.includes(to) && left-- > 0);
  }

  /** Asked for each answer, with its request, before the first byte is passed on: whether nobody hears of it. */
  loseAnswers(isLost: (sent: string) => boolean): void {
    this.isLost = isLost;
  }

  /** Breaks all connections; new ones are let through. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  private forward(client: Socket): void {
    const server = connect(this.port, '127.0.0.1');
    let sent = '';
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (chunk) => {
      sent += chunk.toString();
      server.write(chunk);
    });
    server.on('data', (chunk) => {
      const isLost = this.isLost(sent);
      sent = '';
      if (!isLost) {
        client.write(chunk);
        return;
      }
      this.dropped++;
      client.destroy();
    });
  }
}
