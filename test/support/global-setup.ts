import 'reflect-metadata';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { DatabasePool } from '../../src/platform/database/database-pool.js';
import { EmbeddedDatabase } from '../../src/platform/database/embedded/embedded-database.js';
import { migrate } from '../../src/platform/database/migrate.js';
import { Environment } from '../../src/platform/config/environment.js';
import { readEnvironment } from '../../src/platform/config/read-environment.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A dump of a migrated embedded database. */
    dump_file: string;
    /** The server and the migrated database to copy, where TEST_DATABASE_URL is set. */
    template: { url: string; name: string } | null;
  }
}

/** Migrates once; each test file begins with a copy. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'flightdeck-test-'));
  const dump_file = join(folder, 'migrated.tar');
  const pool = DatabasePool.embedded(await EmbeddedDatabase.inMemory());
  await migrate(pool);
  await writeFile(dump_file, Buffer.from(await (await pool.embedded!.dump()).arrayBuffer()));
  await pool.close();
  project.provide('dump_file', dump_file);

  const url = process.env.TEST_DATABASE_URL;
  const template = url ? { url, name: `flightdeck_template_${process.pid}` } : null;
  if (template) await createTemplate(template);
  project.provide('template', template);

  return async () => {
    await rm(folder, { recursive: true, force: true });
    if (template) await administer(template.url, `DROP DATABASE IF EXISTS ${template.name} WITH (FORCE)`);
  };
}

async function createTemplate({ url, name }: { url: string; name: string }): Promise<void> {
  await administer(url, `CREATE DATABASE ${name}`);
  const environment: Environment = readEnvironment({ DATABASE_URL: withDatabase(url, name) });
  const pool = await DatabasePool.open(environment);
  await migrate(pool);
  await pool.close();
}

export async function administer(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(sql);
  await client.end();
}

export function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
