import type { INestApplicationContext } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import type { IncomingMessage } from 'node:http';
import type { Server, ServerOptions } from 'socket.io';
import type { Environment } from '../config/environment.js';

const MAX_MESSAGE_BYTES = 65_536;

/** Socket.IO on the HTTP server's port. Checks the Origin itself: Socket.IO's `cors` only withholds headers. */
export class SocketAdapter extends IoAdapter {
  constructor(
    app: INestApplicationContext,
    private readonly environment: Environment,
  ) {
    super(app);
  }

  override createIOServer(port: number, options?: ServerOptions): Server {
    const { cors_origins } = this.environment;
    const server = super.createIOServer(port, {
      ...options,
      serveClient: false,
      maxHttpBufferSize: MAX_MESSAGE_BYTES,
      // Dead connections are noticed within the sum of both.
      pingInterval: 20_000,
      pingTimeout: 10_000,
      cors: { origin: cors_origins, credentials: true },
      allowRequest: (request, decide) => {
        const allowed = isAllowedOrigin(request, cors_origins);
        decide(allowed ? null : 'This origin may not open sockets here', allowed);
      },
    } as ServerOptions);
    // `allowRequest` judges only who opens a session; who goes on with one that is known must be no other page either.
    server.engine.use((request: IncomingMessage, _response: unknown, next: (refusal?: Error) => void) => {
      const isOpening = !new URL(request.url ?? '/', 'http://localhost').searchParams.has('sid');
      next(isOpening || isAllowedOrigin(request, cors_origins) ? undefined : new Error('Foreign origin'));
    });
    return server;
  }
}

/** Programs send no Origin; a page of this very server and those in CORS_ORIGINS are welcome. */
export function isAllowedOrigin({ headers }: Pick<IncomingMessage, 'headers'>, allowed: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
