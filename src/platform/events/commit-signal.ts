import { Injectable } from '@nestjs/common';
import { EventEmitter } from 'node:events';
import { openScope } from '../database/transaction-scope.js';

/** Says that this process has committed events. Hot paths that log in a statement of their own call it too. */
@Injectable()
export class CommitSignal {
  private readonly emitter = new EventEmitter();

  /** Inside a unit of work nothing is committed yet: then it waits for the end. */
  signal(): void {
    const emit = (): boolean => this.emitter.emit('committed');
    const scope = openScope();
    if (scope) scope.transaction.afterCommit(emit);
    else emit();
  }

  onCommit(listener: () => void): void {
    this.emitter.on('committed', listener);
  }
}
