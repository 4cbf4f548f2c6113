import { DiscoveryService } from '@nestjs/core';
import type { Environment } from '../config/environment.js';

export interface Recurrence {
  /** The name of the job; unique. */
  name: string;
  every_ms: (environment: Environment) => number;
  /** A condition in SQL, cheap to ask: only when it holds, there is something to do. Without it there always is. */
  is_due?: (environment: Environment) => string;
}

/** A method that one of the workers calls again and again, or when it is due. It must be safe to run twice. */
export const Recurring = DiscoveryService.createDecorator<Recurrence>();
