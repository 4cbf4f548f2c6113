import { Injectable, Logger } from '@nestjs/common';
import { SeldomWarning } from '../logging/seldom.js';

/** Tells of a queue that is away. BullMQ goes on trying, and its queue and its worker complain at every attempt. */
@Injectable()
export class QueueOutage {
  private readonly warning = new SeldomWarning(new Logger('Queue'));

  tell({ message }: Error): void {
    this.warning.warn(`The job queue cannot be reached: ${message}`);
  }
}
