import { type ArgumentsHost, Catch, Logger, type WsExceptionFilter } from '@nestjs/common';
import type { Socket } from 'socket.io';
import { describeError } from '../errors/describe-error.js';

/** Answers a failed message through its acknowledgement, or as event `error` when the client asked for none. */
@Catch()
export class RealtimeErrorFilter implements WsExceptionFilter {
  private readonly logger = new Logger('Socket');

  catch(thrown: unknown, host: ArgumentsHost): void {
    const client = host.switchToWs().getClient<Socket>();
    const pattern = host.switchToWs().getPattern();
    const { body, is_unexpected } = describeError(thrown, pattern, null);
    if (is_unexpected) this.logger.error(`${pattern} failed`, thrown);
    const acknowledge = host.getArgs<unknown[]>().find((argument) => typeof argument === 'function');
    if (acknowledge) (acknowledge as (answer: unknown) => void)(body);
    else client.emit('error', body);
  }
}
