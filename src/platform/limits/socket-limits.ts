import { Injectable } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import type { Server } from 'socket.io';
import { Environment } from '../config/environment.js';
import { addressReader } from '../http/client-address.js';
import { callerAt } from './caller.js';
import { TooManySockets } from './limits.errors.js';
import { Overload } from './overload.js';
import { RateLimits } from './rate-limits.js';

/** How many sockets one address may open, and have open at this node: each costs memory for as long as it lasts. */
@Injectable()
export class SocketLimits {
  private readonly open = new Map<string, number>();
  private readonly callerOf: (request: IncomingMessage) => string;

  constructor(
    private readonly environment: Environment,
    private readonly limits: RateLimits,
    private readonly overload: Overload,
  ) {
    const read = addressReader(environment);
    this.callerOf = (request) => callerAt(read(request));
  }

  /** Throws what a handshake is refused with: before there is a socket, and whoever it claims to be. */
  async assertWelcome(request: IncomingMessage): Promise<void> {
    const refusal = this.overload.refusal();
    if (refusal) throw refusal;
    const caller = this.callerOf(request);
    await this.limits.spend('socket', caller);
    const { ENABLE_RATE_LIMITING, SOCKETS_PER_ADDRESS } = this.environment;
    const isFull = SOCKETS_PER_ADDRESS > 0 && (this.open.get(caller) ?? 0) >= SOCKETS_PER_ADDRESS;
    if (ENABLE_RATE_LIMITING && isFull) throw new TooManySockets(SOCKETS_PER_ADDRESS);
  }

  /** Counts connections, also those that never say to which namespace they want. */
  watch({ engine }: Pick<Server, 'engine'>): void {
    engine.on(
      'connection',
      (connection: { request: IncomingMessage; once(event: 'close', then: () => void): void }) => {
        const caller = this.callerOf(connection.request);
        this.open.set(caller, (this.open.get(caller) ?? 0) + 1);
        connection.once('close', () => {
          const left = this.open.get(caller)! - 1;
          if (left > 0) this.open.set(caller, left);
          else this.open.delete(caller);
        });
      },
    );
  }
}
