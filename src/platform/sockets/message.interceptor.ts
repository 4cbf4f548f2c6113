import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { Observable } from 'rxjs';
import type { Socket } from 'socket.io';
import { Environment } from '../config/environment.js';
import { runInContext } from '../context/request-context.js';
import { TooManyMessages } from './sockets.errors.js';

interface Bucket {
  tokens: number;
  filled_at: number;
}

/** Limits how fast one socket may send (a token bucket that holds two seconds' worth), and says who is acting. */
@Injectable()
export class MessageInterceptor implements NestInterceptor {
  constructor(private readonly environment: Environment) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'ws') return next.handle();
    const socket = context.switchToWs().getClient<Socket<object, object, object, { bucket?: Bucket }>>();
    this.spend(socket);
    const origin = {
      source: 'user' as const,
      actor_type: 'user',
      endpoint: `socket ${context.switchToWs().getPattern()}`,
      ip: socket.handshake.address,
    };
    return new Observable((subscriber) => runInContext(origin, () => next.handle().subscribe(subscriber)));
  }

  private spend({ data }: { data: { bucket?: Bucket } }): void {
    const rate = this.environment.SOCKET_MESSAGES_PER_SECOND;
    const now = performance.now();
    const { tokens, filled_at } = (data.bucket ??= { tokens: rate * 2, filled_at: now });
    const filled = Math.min(rate * 2, tokens + ((now - filled_at) / 1000) * rate);
    const isAllowed = filled >= 1;
    // What is refused costs nothing: a client somewhat too fast still gets its rate.
    data.bucket = { tokens: isAllowed ? filled - 1 : filled, filled_at: now };
    if (!isAllowed) throw new TooManyMessages(rate);
  }
}
