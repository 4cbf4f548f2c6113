import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { parseArgs } from 'node:util';
import { isUUID } from 'class-validator';
import { Role } from '../platform/access/principal.js';
import { ConfigModule } from '../platform/config/config.module.js';
import { loadEnvironmentFile } from '../platform/config/load-environment-file.js';
import { readEnvironment } from '../platform/config/read-environment.js';
import { runInContext } from '../platform/context/request-context.js';
import { DatabaseModule } from '../platform/database/database.module.js';
import { DatabasePool } from '../platform/database/database-pool.js';
import { migrate } from '../platform/database/migrate.js';
import { DomainError } from '../platform/errors/domain-error.js';
import { endWithReason } from '../platform/errors/end-with-reason.js';
import { StartupError } from '../platform/errors/startup-error.js';
import { EventsModule } from '../platform/events/events.module.js';
import type { ApiKey } from './api-key.entity.js';
import { ApiKeysService } from './api-keys.service.js';
import { ApiKeysModule } from './api-keys.module.js';
import type { CreateApiKeyDto } from './dto/create-api-key.dto.js';

const USAGE = `npm run keys -- create --role ROLE --name NAME [--project ID] [--agent ID] [--expires TIME]
npm run keys -- list
npm run keys -- revoke ID|PREFIX

ROLE is ${Object.values(Role).join(', ')}. TIME is as in 2027-01-31T00:00:00Z.
It works on the database that DATABASE_URL or DATA_DIR names. The embedded one belongs to one process: stop the server first.`;

const MOST_SHOWN = 1000;

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    role: { type: 'string' },
    name: { type: 'string' },
    project: { type: 'string' },
    agent: { type: 'string' },
    expires: { type: 'string' },
  },
});

type Work = (keys: ApiKeysService) => Promise<void>;

/** What is asked for. Throws when that is not clear, before a database is opened or made. */
function readCommand(): Work {
  const [command, ref] = positionals;
  if (command === 'create') {
    const dto = readNewKey();
    return (keys) => create(keys, dto);
  }
  if (command === 'list') return list;
  if (command === 'revoke' && ref) return (keys) => revoke(keys, ref);
  throw new StartupError(USAGE);
}

/** `npm run keys`: the way to the first key, and to a new one when all are lost. */
async function main(): Promise<void> {
  const work = readCommand();
  loadEnvironmentFile();
  const environment = readEnvironment(process.env);
  const pool = await DatabasePool.open(environment);
  try {
    await migrate(pool);
    const imports = [ConfigModule.with(environment), DatabaseModule.forRoot(pool), EventsModule, ApiKeysModule];
    const app = await NestFactory.createApplicationContext(
      { module: class KeysModule {}, imports },
      { logger: false, abortOnError: false },
    );
    const origin = { source: 'user' as const, actor_type: 'operator', endpoint: `npm run keys -- ${positionals[0]}` };
    try {
      await runInContext(origin, () => work(app.get(ApiKeysService)));
    } finally {
      await app.close();
    }
  } finally {
    await pool.close();
  }
}

function readNewKey(): CreateApiKeyDto {
  const { role, name, project, agent, expires } = given;
  const isRole = Object.values(Role).includes(role as Role);
  if (!isRole || !name?.trim()) throw new StartupError(`A role and a name are needed.\n\n${USAGE}`);
  for (const id of [project, agent]) {
    if (id !== undefined && !isUUID(id)) throw new StartupError(`${id} is no id (a UUID).\n\n${USAGE}`);
  }
  const expires_at = expires === undefined ? null : new Date(expires);
  if (Number.isNaN(expires_at?.getTime())) throw new StartupError(`${expires} is no time.\n\n${USAGE}`);
  return { role: role as Role, name, project_id: project ?? null, agent_id: agent ?? null, expires_at };
}

async function create(keys: ApiKeysService, dto: CreateApiKeyDto): Promise<void> {
  const { key, text } = await keys.create(dto);
  console.error(`Created the key ${key.id} (${describe(key)}). It is shown only now, and kept nowhere:\n`);
  // Alone on the standard output, so that a script can take it.
  console.log(text);
}

async function list(keys: ApiKeysService): Promise<void> {
  const { items } = await keys.list({ limit: MOST_SHOWN });
  for (const key of items) {
    const state = key.revoked_at ? 'revoked' : key.expires_at && key.expires_at <= new Date() ? 'expired' : 'active';
    console.log(`${key.id}  fd_${key.prefix}_***  ${state.padEnd(7)}  ${describe(key)}`);
  }
  if (items.length === 0) console.error('There are no keys.');
}

async function revoke(keys: ApiKeysService, ref: string): Promise<void> {
  const prefix = /^(?:fd_)?([0-9a-f]{12})/.exec(ref)?.[1];
  const found = isUUID(ref) ? await keys.get(ref) : await keys.findByPrefix(prefix ?? '');
  if (!found) throw new StartupError(`No key is ${ref}.`);
  await keys.revoke(found.id);
  console.error(`Revoked the key ${found.id} (${describe(found)}).`);
}

const describe = ({ role, name, project_id }: ApiKey): string =>
  `${role}, ${JSON.stringify(name)}${project_id ? `, project ${project_id}` : ''}`;

await main().catch((error: unknown) =>
  endWithReason(error instanceof DomainError ? new StartupError(error.message) : error, 'Nothing was done'),
);
