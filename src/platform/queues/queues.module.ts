import { BullModule } from '@nestjs/bullmq';
import { type DynamicModule, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { type ConnectionOptions, createPostgresBackend, setDefaultBackendFactory } from 'bullmq';
import type { Environment } from '../config/environment.js';
import type { DatabasePool } from '../database/database-pool.js';
import { patiently } from './patient-pool.js';
import { DueJobs } from './due-jobs.js';
import { MaintenanceProcessor } from './maintenance.processor.js';
import { QueueName } from './queue-name.js';
import { QueueOutage } from './queue-outage.js';
import { RecurringJobs } from './recurring-jobs.js';
import { redisPrefix } from './redis.js';

/** BullMQ in the database, or in Redis as soon as there is one. */
@Module({})
export class QueuesModule {
  static forRoot(environment: Environment, { pool }: DatabasePool): DynamicModule {
    const { REDIS_URL } = environment;
    // Without a factory BullMQ uses Redis.
    setDefaultBackendFactory(REDIS_URL === '' ? createPostgresBackend : undefined);
    const prefix = redisPrefix(environment);
    const connection = (
      REDIS_URL === '' ? patiently(pool) : { url: REDIS_URL, maxRetriesPerRequest: null }
    ) as ConnectionOptions;
    return {
      module: QueuesModule,
      global: true,
      imports: [
        DiscoveryModule,
        BullModule.forRoot({ connection, prefix }),
        BullModule.registerQueue({ name: QueueName.Maintenance }),
      ],
      providers: [QueueOutage, DueJobs, RecurringJobs, MaintenanceProcessor],
      exports: [BullModule],
    };
  }
}
