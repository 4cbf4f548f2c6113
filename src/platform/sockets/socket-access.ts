import { Injectable } from '@nestjs/common';
import type { Server, Socket } from 'socket.io';
import { CredentialMissing } from '../access/access.errors.js';
import { Authenticator } from '../access/authenticator.js';
import { credentialOf } from '../access/credential.js';
import { setPrincipal } from '../access/socket-principal.js';
import { Environment } from '../config/environment.js';
import { describeError } from '../errors/describe-error.js';

/** Lets in only sockets that prove in the handshake whose they are. */
@Injectable()
export class SocketAccess {
  constructor(
    private readonly environment: Environment,
    private readonly authenticator: Authenticator,
  ) {}

  guard(server: Server): void {
    if (!this.environment.requires_authentication) return;
    server.use((socket, next) => {
      this.admit(socket).then(
        () => next(),
        (error: unknown) => next(refusalOf(error)),
      );
    });
  }

  private async admit(socket: Socket): Promise<void> {
    const token = tokenOf(socket);
    if (token === null) throw new CredentialMissing();
    setPrincipal(socket, await this.authenticator.authenticate(token, socket.handshake.address));
  }
}

/** `auth: { token }`, or a header as in requests. */
function tokenOf({ handshake }: Socket): string | null {
  const { token } = handshake.auth as { token?: unknown };
  return typeof token === 'string' && token !== '' ? token : credentialOf(handshake.headers);
}

/** Socket.IO sends `data` with the `connect_error`. */
function refusalOf(error: unknown): Error {
  const { body } = describeError(error, '/socket.io', null);
  return Object.assign(new Error(body.detail), { data: body });
}
