/** A worker with a durable consumer, which notes in the table `noted` what it is given, and by whom (its PORT). */
import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { readEnvironment } from '../../src/platform/config/read-environment.js';
import { Database } from '../../src/platform/database/database.js';
import { Durable } from '../../src/platform/events/handlers.js';
import type { LoggedEvent } from '../../src/platform/events/logged-event.js';
import { startServer } from '../../src/server.js';

const environment = readEnvironment(process.env);

@Injectable()
class Notary {
  constructor(private readonly database: Database) {}

  @Durable({ name: 'notary', types: ['task_created'] })
  async note({ task_id }: LoggedEvent): Promise<void> {
    await this.database.query('INSERT INTO noted (task_id, port) VALUES ($1, $2)', [task_id, environment.PORT]);
  }
}

const server = await startServer(environment, [{ module: class NotaryModule {}, providers: [Notary] }]);
process.once('SIGTERM', () => void server.close().then(() => process.exit()));
console.log('It is ready');
