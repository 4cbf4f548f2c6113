import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A way to a server on which answers can get lost: the server has done what was asked, and nobody hears of it. */
export class FaultyWay {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly target_port: number,
    /** Asked for each answer to a POST, before its first byte is passed on. */
    private readonly isLost: () => boolean,
  ) {
    server.on('connection', (client: Socket) => this.forward(client));
  }

  static async to(target_port: number, isLost: () => boolean): Promise<FaultyWay> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultyWay(server, target_port, isLost);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }

  private forward(client: Socket): void {
    const server = connect(this.target_port, '127.0.0.1');
    let asked = '';
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
      asked += chunk.toString('latin1');
      server.write(chunk);
    });
    server.on('data', (chunk) => {
      const isAnswerToPost = asked.startsWith('POST');
      asked = '';
      if (isAnswerToPost && this.isLost()) client.destroy();
      else client.write(chunk);
    });
  }
}
