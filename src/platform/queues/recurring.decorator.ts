import { DiscoveryService } from '@nestjs/core';
import type { Environment } from '../config/environment.js';

export interface Recurrence {
  /** The name of the job; unique. */
  name: string;
  every_ms: (environment: Environment) => number;
}

/** A method that one of the workers calls again and again. It must be safe to run twice. */
export const Recurring = DiscoveryService.createDecorator<Recurrence>();
