import { BullModule } from '@nestjs/bullmq';
import { type DynamicModule, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { type ConnectionOptions, createPostgresBackend, setDefaultBackendFactory } from 'bullmq';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Environment } from '../config/environment.js';
import type { DatabasePool } from '../database/database-pool.js';
import { patiently } from './patient-pool.js';
import { DueJobs } from './due-jobs.js';
import { MaintenanceProcessor } from './maintenance.processor.js';
import { QueueName } from './queue-name.js';
import { QueueOutage } from './queue-outage.js';
import { RecurringJobs } from './recurring-jobs.js';

/** BullMQ in the database, or in Redis as soon as there is one. */
@Module({})
export class QueuesModule {
  static forRoot({ REDIS_URL, DATABASE_URL, DATA_DIR }: Environment, { pool }: DatabasePool): DynamicModule {
    // Without a factory BullMQ uses Redis.
    setDefaultBackendFactory(REDIS_URL === '' ? createPostgresBackend : undefined);
    // Servers on other databases may share the Redis, but must not do the jobs of these.
    const database = DATABASE_URL === '' ? [hostname(), resolve(DATA_DIR)] : [new URL(DATABASE_URL).pathname.slice(1)];
    const prefix = ['flightdeck', ...database].join(':');
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
