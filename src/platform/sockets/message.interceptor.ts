import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { Observable } from 'rxjs';
import type { Socket } from 'socket.io';
import { Environment } from '../config/environment.js';
import { principalOf } from '../access/socket-principal.js';
import { actAs, runInContext } from '../context/request-context.js';
import { addressReader } from '../http/client-address.js';
import { spend } from './message-rate.js';

/** Limits how fast one socket may send, and says who is acting. */
@Injectable()
export class MessageInterceptor implements NestInterceptor {
  private readonly addressOf: (request: IncomingMessage) => string;

  constructor(private readonly environment: Environment) {
    this.addressOf = addressReader(environment);
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'ws') return next.handle();
    const socket = context.switchToWs().getClient<Socket>();
    spend(socket, this.environment.SOCKET_MESSAGES_PER_SECOND);
    const principal = principalOf(socket);
    const origin = {
      source: 'user' as const,
      actor_type: 'user',
      endpoint: `socket ${context.switchToWs().getPattern()}`,
      ip: this.addressOf(socket.request),
    };
    return new Observable((subscriber) =>
      runInContext(origin, () => {
        if (principal) actAs(principal);
        return next.handle().subscribe(subscriber);
      }),
    );
  }
}
