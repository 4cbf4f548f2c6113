import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A first request may be on its way. */
const FIRST_REQUEST_MS = 250;

/** How far a shutdown is. */
export interface Shutdown {
  /** It says that it stops, and serves on: nobody may have heard it yet. */
  readonly isStopping: boolean;
  /** It takes nothing new. */
  readonly isDraining: boolean;
}

/**
 * Stops in two steps. First it is only not ready any more, for as long as a load balancer may need to notice. Then new
 * requests are refused here, as Nest's own refusal would be no problem document, and the application ends what it has.
 */
export class DrainingAdapter extends FastifyAdapter implements Shutdown {
  grace_seconds = 0;
  isStopping = false;
  isDraining = false;
  private readonly connections = new Set<Socket>();

  /** Nest waits for it before it ends anything: until then long polls, sockets and requests go on as ever. */
  // oxlint-disable-next-line typescript/no-misused-promises -- Nest's HttpServer says that it is awaited, FastifyAdapter does not.
  override async beforeClose(): Promise<void> {
    this.isStopping = true;
    if (this.getHttpServer().listening) await sleep(this.grace_seconds * 1000);
    super.beforeClose();
    this.isDraining = true;
    setInterval(() => {
      for (const connection of this.connections) setTimeout(endIfUnused, FIRST_REQUEST_MS, connection).unref();
    }, FIRST_REQUEST_MS).unref();
  }

  /** Before it listens. */
  watchConnections(): void {
    this.getHttpServer().on('connection', (connection: Socket) => {
      this.connections.add(connection);
      connection.once('close', () => this.connections.delete(connection));
    });
  }
}

/**
 * A connection on which nothing was ever asked (browsers and pools open some in advance) is not idle to Node: a stopping
 * server would wait for it until its time is up.
 */
function endIfUnused(connection: Socket): void {
  if (connection.bytesRead === 0) connection.destroy();
}
