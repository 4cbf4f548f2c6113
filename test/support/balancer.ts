import { once } from 'node:events';
import {
  Agent,
  createServer,
  type IncomingMessage,
  request as send,
  type Server,
  type ServerResponse,
} from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { eventually } from './eventually.js';

const CHECK_EVERY_MS = 500;
/** So many checks in a row must fail, as in docker/haproxy.cfg. */
const FALL = 2;
/** Longer than any test, so that no connection is closed while a request is on its way. */
const KEEP_ALIVE_MS = 300_000;

/** A load balancer that only stops leading to who is not ready at /health/ready: what fails there fails for the client. */
export class Balancer {
  private readonly server: Server;
  private readonly nodes: Node[];
  private readonly tunnels = new Set<Duplex>();
  private turn = 0;

  private constructor(urls: readonly string[]) {
    this.nodes = urls.map((url) => new Node(url));
    this.server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) =>
      this.pass(request, response),
    );
    this.server.on('upgrade', (request, socket, head) => this.tunnel(request, socket, head));
  }

  static async before(urls: readonly string[]): Promise<Balancer> {
    const balancer = new Balancer(urls);
    balancer.server.listen(0, '127.0.0.1');
    await once(balancer.server, 'listening');
    await Promise.all(urls.map((url) => balancer.untilLeadingTo(url)));
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  async untilLeadingTo(url: string): Promise<void> {
    const node = this.nodes.find((one) => one.url === url)!;
    await eventually(() => {
      if (!node.isReady) throw new Error(`${url} is not ready`);
    }, 60_000);
  }

  async close(): Promise<void> {
    for (const node of this.nodes) node.close();
    for (const socket of this.tunnels) socket.destroy();
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, 'close');
  }

  private next(): Node | undefined {
    const ready = this.nodes.filter(({ isReady }) => isReady);
    return ready[this.turn++ % ready.length];
  }

  private pass(request: IncomingMessage, response: ServerResponse): void {
    const node = this.next();
    if (!node) return void response.writeHead(503).end('No node is ready');
    const { method, url, headers } = request;
    const onward = send(
      { host: node.host, port: node.port, agent: node.agent, method, path: url, headers },
      (answer) => {
        // This one is about the connection behind.
        delete answer.headers.connection;
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
        answer.on('error', () => response.destroy());
      },
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => {
      if (!response.writableFinished) onward.destroy();
    });
    request.pipe(onward);
  }

  private tunnel({ method, url, rawHeaders }: IncomingMessage, near: Duplex, head: Buffer): void {
    const node = this.next();
    if (!node) return void near.destroy();
    const far = connect(node.port, node.host);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.tunnels.add(from);
      from
        .on('error', () => undefined)
        .on('close', () => {
          this.tunnels.delete(from);
          to.destroy();
        });
    }
    const lines = rawHeaders.map((text, index) => (index % 2 === 0 ? `${text}: ` : `${text}\r\n`));
    far.write(`${method} ${url} HTTP/1.1\r\n${lines.join('')}\r\n`);
    far.write(head);
    far.pipe(near).pipe(far);
  }
}

class Node {
  isReady = false;
  readonly host: string;
  readonly port: number;
  readonly agent = new Agent({ keepAlive: true });
  private failed = 0;
  private current: Promise<void> | null = null;
  private readonly timer: NodeJS.Timeout;

  constructor(readonly url: string) {
    const { hostname, port } = new URL(url);
    this.host = hostname;
    this.port = Number(port);
    this.timer = setInterval(() => {
      this.current ??= this.check().finally(() => {
        this.current = null;
      });
    }, CHECK_EVERY_MS);
  }

  close(): void {
    clearInterval(this.timer);
    this.agent.destroy();
  }

  private async check(): Promise<void> {
    const isWell = await fetch(`${this.url}/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    this.failed = isWell ? 0 : this.failed + 1;
    if (isWell) this.isReady = true;
    else if (this.failed >= FALL) this.isReady = false;
  }
}
