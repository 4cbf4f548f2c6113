import type { INestApplicationContext } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, ServerOptions } from 'socket.io';
import type { Environment } from '../config/environment.js';
import { answerOnSocket, answerProblem } from '../http/client-errors.js';
import { pathOf } from '../http/version.js';
import { SocketLimits } from '../limits/socket-limits.js';

const MAX_MESSAGE_BYTES = 65_536;

/** Socket.IO on the HTTP server's port. Checks the Origin itself: Socket.IO's `cors` only withholds headers. */
export class SocketAdapter extends IoAdapter {
  private readonly limits: SocketLimits;

  constructor(
    app: INestApplicationContext,
    private readonly environment: Environment,
  ) {
    super(app);
    this.limits = app.get(SocketLimits);
  }

  override createIOServer(port: number, options?: ServerOptions): Server {
    const { cors_origins } = this.environment;
    const server: Server = super.createIOServer(port, {
      ...options,
      serveClient: false,
      maxHttpBufferSize: MAX_MESSAGE_BYTES,
      // Dead connections are noticed within the sum of both.
      pingInterval: 20_000,
      pingTimeout: 10_000,
      cors: { origin: cors_origins, credentials: true },
      allowRequest: (request, decide) => {
        if (!isAllowedOrigin(request, cors_origins)) return decide('This origin may not open sockets here', false);
        this.limits.assertWelcome(request).then(
          () => decide(null, true),
          (refusal: unknown) => refuse(request, refusal),
        );
      },
    } as ServerOptions);
    // `allowRequest` judges only who opens a session; who goes on with one that is known must be no other page either.
    server.engine.use((request: IncomingMessage, _response: unknown, next: (refusal?: Error) => void) => {
      const isOpening = !new URL(request.url ?? '/', 'http://localhost').searchParams.has('sid');
      next(isOpening || isAllowedOrigin(request, cors_origins) ? undefined : new Error('Foreign origin'));
    });
    this.limits.watch(server);
    return server;
  }
}

/** Engine.IO would refuse with 403 and no reason to come back: so it is never told how this handshake ended. */
function refuse(request: IncomingMessage & { res?: ServerResponse }, refusal: unknown): void {
  const { res, socket, url = '' } = request;
  // Engine.IO's middleware has put headers there that pages in browsers need. An upgrade has none.
  if (res) answerProblem(res, refusal, pathOf(url));
  else answerOnSocket(socket, refusal, pathOf(url));
}

/** Programs send no Origin; a page of this very server and those in CORS_ORIGINS are welcome. */
export function isAllowedOrigin({ headers }: Pick<IncomingMessage, 'headers'>, allowed: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
