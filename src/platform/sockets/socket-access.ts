import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import type { Server, Socket } from 'socket.io';
import { CredentialMissing, CredentialRefused, NotAllowed } from '../access/access.errors.js';
import { Authenticator } from '../access/authenticator.js';
import { credentialOf } from '../access/credential.js';
import { isOver, isSameCaller, type Principal } from '../access/principal.js';
import { principalOf, setPrincipal } from '../access/socket-principal.js';
import { Environment } from '../config/environment.js';
import { describeError } from '../errors/describe-error.js';
import { isRefusal } from '../errors/domain-error.js';
import { EventTail } from '../events/event-tail.js';
import { addressReader } from '../http/client-address.js';

const CHECK_EVERY_MS = 250;
/** So long before its credential ends a client is told, and may send another one. */
const WARNED_BEFORE_MS = 30_000;
const INSTANCE = '/socket.io';

/** What a socket showed last. Not among its data, which are for all to see. */
interface Shown {
  token: string;
  hasBeenWarned: boolean;
}

/** Lets in only sockets that prove whose they are, and ends them when their credential does. */
@Injectable()
export class SocketAccess implements OnModuleDestroy {
  private readonly shown = new WeakMap<Socket, Shown>();
  private readonly addressOf: (request: IncomingMessage) => string;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly environment: Environment,
    private readonly authenticator: Authenticator,
    private readonly tail: EventTail,
  ) {
    this.addressOf = addressReader(environment);
  }

  guard(server: Server): void {
    if (!this.environment.requires_authentication) return;
    server.use((socket, next) => {
      this.admit(socket).then(
        () => next(),
        (error: unknown) => next(refusalOf(error)),
      );
    });
    const sockets = () => [...server.sockets.sockets.values()];
    this.authenticator.onChanged((principal_id) => {
      for (const socket of sockets()) if (principalOf(socket)?.id === principal_id) void this.askAgain(socket);
    });
    this.timer = setInterval(() => {
      for (const socket of sockets()) this.check(socket);
    }, CHECK_EVERY_MS);
    this.timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  /** Another credential for an open socket: it must be of the same kind of caller, as its rooms were opened to that. */
  async renew(socket: Socket, token: string): Promise<Principal | null> {
    const before = principalOf(socket);
    if (!before) return null;
    const principal = await this.authenticator.authenticate(token, this.addressOf(socket.request));
    if (!isSameCaller(before, principal)) {
      throw new NotAllowed('A socket stays with its role, project and agent; open another one for others');
    }
    this.take(socket, token, principal);
    return principal;
  }

  private async admit(socket: Socket): Promise<void> {
    const token = tokenOf(socket);
    if (token === null) throw new CredentialMissing();
    this.take(socket, token, await this.authenticator.authenticate(token, this.addressOf(socket.request)));
  }

  private take(socket: Socket, token: string, principal: Principal): void {
    setPrincipal(socket, principal);
    this.shown.set(socket, { token, hasBeenWarned: false });
  }

  private check(socket: Socket): void {
    const principal = principalOf(socket);
    const shown = this.shown.get(socket);
    if (!principal || !shown) return;
    if (isOver(principal)) return end(socket);
    const { expires_at } = principal;
    if (!shown.hasBeenWarned && expires_at && expires_at.getTime() - Date.now() < WARNED_BEFORE_MS) {
      shown.hasBeenWarned = true;
      socket.emit('credential_expiring', { expires_at });
    }
    // What tells of revocations may be late.
    if (this.tail.is_held_back) void this.askAgain(socket);
  }

  /** The credential was changed: it may have become another caller's, or nobody's. */
  private async askAgain(socket: Socket): Promise<void> {
    const shown = this.shown.get(socket)!;
    try {
      const principal = await this.authenticator.authenticate(shown.token, this.addressOf(socket.request));
      if (this.shown.get(socket) !== shown) return;
      if (!isSameCaller(principalOf(socket)!, principal)) return end(socket);
      setPrincipal(socket, principal);
    } catch (error) {
      // Without a database nobody can say; then it is asked again when there is one. All else is a refusal, also that
      // there were too many.
      if (isRefusal(error) && this.shown.get(socket) === shown) end(socket);
    }
  }
}

/** `auth: { token }`, or a header as in requests. */
function tokenOf({ handshake }: Socket): string | null {
  const { token } = handshake.auth as { token?: unknown };
  return typeof token === 'string' && token !== '' ? token : credentialOf(handshake.headers);
}

/** Socket.IO sends `data` with the `connect_error`. */
function refusalOf(error: unknown): Error {
  const { body } = describeError(error, INSTANCE, null);
  return Object.assign(new Error(body.detail), { data: body });
}

/** Says why, then closes. */
function end(socket: Socket): void {
  socket.emit('credential_ended', describeError(new CredentialRefused(), INSTANCE, null).body);
  socket.disconnect(true);
}
