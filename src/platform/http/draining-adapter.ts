import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { Socket } from 'node:net';

/** A first request may be on its way. */
const GRACE_MS = 250;

/** Knows from the first moment of a shutdown that it goes on: Nest's own refusal would be no problem document. */
export class DrainingAdapter extends FastifyAdapter {
  isDraining = false;
  private readonly connections = new Set<Socket>();

  override beforeClose(): void {
    super.beforeClose();
    this.isDraining = true;
    setInterval(() => {
      for (const connection of this.connections) setTimeout(endIfUnused, GRACE_MS, connection).unref();
    }, GRACE_MS).unref();
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
