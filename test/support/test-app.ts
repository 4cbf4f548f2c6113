import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { DynamicModule, Type } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { inject } from 'vitest';
import { createApp } from '../../src/app.setup.js';
import { Environment } from '../../src/platform/config/environment.js';
import { DatabasePool } from '../../src/platform/database/database-pool.js';
import { Database } from '../../src/platform/database/database.js';
import { EmbeddedDatabase } from '../../src/platform/database/embedded/embedded-database.js';
import { EventTail } from '../../src/platform/events/event-tail.js';
import type { LoggedEvent } from '../../src/platform/events/logged-event.js';
import { assertNoCanary, CANARY } from './canary.js';
import { eventually } from './eventually.js';
import { administer, withDatabase } from './global-setup.js';

export interface Answer<Body = Record<string, never>> {
  status: number;
  headers: Record<string, string | string[] | number | undefined>;
  body: Body;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS';

/** The real server on a database of its own. Requests go in as a client's would, without a network unless asked. */
export class TestApp {
  constructor(
    readonly app: NestFastifyApplication,
    readonly environment: Environment,
    private readonly dispose: () => Promise<void>,
  ) {}

  /** `any` is what a client sees: each test says by its assertions what the body is. */
  // oxlint-disable-next-line typescript/no-explicit-any
  async request<Body = any>(
    method: Method,
    url: string,
    payload?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<Body>> {
    const isText = typeof payload === 'string';
    const response = await this.app.inject({
      method,
      url,
      headers: { ...(payload !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(payload !== undefined && { payload: isText ? payload : JSON.stringify(payload) }),
    });
    const text = response.body;
    assertNoCanary(`The answer to ${method} ${url}`, text + JSON.stringify(response.headers));
    const isJson = String(response.headers['content-type'] ?? '').includes('json');
    return { status: response.statusCode, headers: response.headers, body: (isJson ? JSON.parse(text) : text) as Body };
  }

  // oxlint-disable-next-line typescript/no-explicit-any
  get = <Body = any>(url: string, headers?: Record<string, string>) =>
    this.request<Body>('GET', url, undefined, headers);
  // oxlint-disable-next-line typescript/no-explicit-any
  post = <Body = any>(url: string, payload?: unknown, headers?: Record<string, string>) =>
    this.request<Body>('POST', url, payload, headers);
  // oxlint-disable-next-line typescript/no-explicit-any
  put = <Body = any>(url: string, payload?: unknown) => this.request<Body>('PUT', url, payload);
  // oxlint-disable-next-line typescript/no-explicit-any
  patch = <Body = any>(url: string, payload?: unknown, headers?: Record<string, string>) =>
    this.request<Body>('PATCH', url, payload, headers);
  // oxlint-disable-next-line typescript/no-explicit-any
  delete = <Body = any>(url: string) => this.request<Body>('DELETE', url);

  get database(): Database {
    return this.app.get(Database);
  }

  /** The events about something, oldest first. */
  async events(subject: Partial<Pick<LoggedEvent, 'task_id' | 'agent_id' | 'project_id' | 'workflow_id' | 'run_id'>>) {
    const [[column, id] = ['true', true]] = Object.entries(subject);
    return this.database.query<LoggedEvent & Record<string, unknown>>(
      `SELECT e.*, e.txid::text FROM events e WHERE ${column} = $1 ORDER BY e.txid, e.seq`,
      [id],
    );
  }

  /** Until all that was recorded before has been told: transactions of other databases on the same server hold it back. */
  async settle(): Promise<void> {
    const tail = this.app.get(EventTail);
    await eventually(async () => {
      await tail.upToDate();
      if (tail.is_held_back) throw new Error('Events are held back by an earlier transaction');
    });
  }

  /** Listens on a free port of the loopback, for sockets and real connections. */
  async listen(): Promise<string> {
    await this.app.listen(0, '127.0.0.1');
    return (await this.app.getUrl()).replace('[::1]', '127.0.0.1');
  }

  async close(): Promise<void> {
    await this.app.close();
    await this.dispose();
  }
}

interface Options {
  environment?: Partial<Environment>;
  /** Modules besides the product's, with handlers that a test needs. */
  extra?: (Type | DynamicModule)[];
  /** Do not initialise: `listen()` does. */
  isListening?: boolean;
}

/** Starts the server. Sweeps run every second, so that tests of them are short. */
export async function startTestApp({
  environment = {},
  extra = [],
  isListening = false,
}: Options = {}): Promise<TestApp> {
  const settings = {
    ENVIRONMENT: 'test',
    SECRET_KEY: CANARY,
    LOG_LEVEL: 'error',
    SWEEP_EVERY_SECONDS: 1,
    REDIS_URL: process.env.TEST_REDIS_URL ?? '',
  };
  const merged = Object.assign(new Environment(), settings, environment);
  const { pool, dispose } = await openTestDatabase(merged);
  const app = await createApp(merged, pool, extra);
  if (!isListening) await app.init();
  return new TestApp(app, merged, dispose);
}

/** A migrated database of its own: embedded and in memory, or a copy of the template on the real server. */
export async function openTestDatabase(
  environment = new Environment(),
): Promise<{ pool: DatabasePool; dispose: () => Promise<void> }> {
  const template = inject('template');
  if (!template) {
    // No folder, only a name that no other has: servers that share a Redis tell each other's jobs apart by it.
    environment.DATA_DIR = `in memory ${randomUUID()}`;
    const pool = DatabasePool.embedded(await EmbeddedDatabase.inMemory(await openAsBlob(inject('dump_file'))));
    return { pool, dispose: () => pool.close() };
  }
  const name = `flightdeck_test_${process.pid}_${Date.now()}_${Math.floor(Math.random() * 1e6)}`;
  await administer(template.url, `CREATE DATABASE ${name} TEMPLATE ${template.name}`);
  environment.DATABASE_URL = withDatabase(template.url, name);
  const pool = await DatabasePool.open(environment);
  return {
    pool,
    dispose: async () => {
      await pool.close();
      await administer(template.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}
