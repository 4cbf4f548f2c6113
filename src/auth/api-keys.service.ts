import { Injectable } from '@nestjs/common';
import { IsNull } from 'typeorm';
import { NotAllowed } from '../platform/access/access.errors.js';
import { Role } from '../platform/access/principal.js';
import { ownRows, placeOf, projectScope } from '../platform/access/scope.js';
import { currentContext } from '../platform/context/request-context.js';
import { changesSince, snapshot } from '../platform/context/request-trace.js';
import { Database } from '../platform/database/database.js';
import { Filters } from '../platform/database/filters.js';
import { listRows, type Sort } from '../platform/database/list-rows.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { InvalidInput } from '../platform/errors/common.errors.js';
import type { Page } from '../platform/http/page.js';
import { ApiKey } from './api-key.entity.js';
import { ApiKeyNotFound, ApiKeyOver } from './auth.errors.js';
import { ApiKeyBound, ApiKeyCreated, ApiKeyRevoked, ApiKeyRotated } from './auth.events.js';
import type { CreateApiKeyDto } from './dto/create-api-key.dto.js';
import { ApiKeySort, type ListApiKeysQuery } from './dto/list-api-keys.query.js';
import { KeyRing } from './key-ring.js';
import { hashSecret, keyText, newPrefix, newSecret } from './key-text.js';

/** A key, and once its text. */
export interface NewKey {
  key: ApiKey;
  text: string;
}

const SORTS: Record<ApiKeySort, Sort> = {
  name: { expression: 'k.name', type: 'text' },
  created_at: { expression: 'k.created_at', type: 'timestamptz' },
};

const COLUMNS = `k.id, k.prefix, k.name, k.role, k.project_id, k.agent_id, k.expires_at, k.last_used_at,
  k.previous_valid_until, k.revoked_at, k.created_at, k.updated_at`;

const DEFAULT_OVERLAP_SECONDS = 3600;

/** Makes keys, and ends them. An admin of one project sees and makes only keys of that project. */
@Injectable()
export class ApiKeysService {
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly ring: KeyRing,
  ) {}

  list(query: ListApiKeysQuery): Promise<Page<ApiKey>> {
    const filters = new Filters()
      .add('k.role = ?', query.role)
      .add('k.project_id = ?', query.project_id)
      .add('k.project_id = ?', projectScope() ?? undefined)
      .add('(k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())) = ?', query.is_active)
      .addSearch('k.name', query.search);
    return listRows<ApiKey & Record<string, unknown>>(this.database, {
      from: 'api_keys k',
      alias: 'k',
      columns: COLUMNS,
      filters,
      sorts: SORTS,
      sort_by: query.sort_by ?? ApiKeySort.CreatedAt,
      query,
    });
  }

  async get(id: string): Promise<ApiKey> {
    const key = await this.database.manager.findOneBy(ApiKey, { id, ...ownRows() });
    if (!key) throw new ApiKeyNotFound(id);
    return key;
  }

  findByPrefix(prefix: string): Promise<ApiKey | null> {
    return this.database.manager.findOneBy(ApiKey, { prefix, ...ownRows() });
  }

  async create(dto: CreateApiKeyDto): Promise<NewKey> {
    assertSensible(dto);
    const project_id = placeOf(dto.project_id);
    const secret = newSecret();
    const key = Object.assign(new ApiKey(), dto, {
      project_id,
      prefix: newPrefix(),
      secret_hash: hashSecret(secret).toString('hex'),
    });
    await this.unitOfWork.run(async (tx) => {
      await tx.manager.save(key);
      const { id, prefix, name, role, agent_id, expires_at } = key;
      tx.record(new ApiKeyCreated(id, prefix, name, role, project_id, agent_id, expires_at));
    });
    return { key, text: keyText({ prefix: key.prefix, secret }) };
  }

  /** A new secret; the one before is valid for a while, that of an earlier rotation no longer. */
  async rotate(id: string, overlap_seconds = DEFAULT_OVERLAP_SECONDS): Promise<NewKey> {
    const secret = newSecret();
    const key = await this.change(id, (locked, tx) => {
      if (locked.revoked_at !== null || isPast(locked.expires_at)) throw new ApiKeyOver(id);
      const until = overlap_seconds === 0 ? null : new Date(Date.now() + overlap_seconds * 1000);
      locked.previous_secret_hash = until && locked.secret_hash;
      locked.previous_valid_until = until;
      locked.secret_hash = hashSecret(secret).toString('hex');
      tx.record(new ApiKeyRotated(id, locked.prefix, locked.project_id, until));
    });
    return { key, text: keyText({ prefix: key.prefix, secret }) };
  }

  /** At once and for ever; the key stays in the list. Again is fine. */
  async revoke(id: string): Promise<void> {
    await this.change(id, (key, tx) => revokeKey(key, tx));
  }

  async revokeOfProject(tx: Transaction, project_id: string): Promise<void> {
    const keys = await tx.manager.findBy(ApiKey, { project_id, revoked_at: IsNull() });
    for (const key of keys) {
      revokeKey(key, tx);
      await this.save(key, tx);
    }
  }

  /** The caller's key is from here on that of the agent which it has registered. */
  async bindTo(tx: Transaction, agent_id: string): Promise<void> {
    const { principal } = currentContext();
    if (principal?.role !== Role.Agent) return;
    if (principal.kind === 'token') throw new NotAllowed('An operator registers the agent that a token names');
    const key = await tx.manager.findOne(ApiKey, {
      where: { id: principal.id, revoked_at: IsNull() },
      lock: { mode: 'pessimistic_write' },
    });
    if (key?.agent_id !== null)
      throw new NotAllowed('This credential is that of another agent: it can register no more');
    await this.rebind(key, tx, agent_id);
  }

  /** Keys of an agent that is gone may register another. */
  async unbind(tx: Transaction, agent_id: string): Promise<void> {
    const keys = await tx.manager.findBy(ApiKey, { agent_id, revoked_at: IsNull() });
    for (const key of keys) await this.rebind(key, tx, null);
  }

  private async rebind(key: ApiKey, tx: Transaction, agent_id: string | null): Promise<void> {
    key.agent_id = agent_id;
    tx.record(new ApiKeyBound(key.id, key.prefix, key.project_id, agent_id));
    await this.save(key, tx);
  }

  private change(id: string, work: (key: ApiKey, tx: Transaction) => void): Promise<ApiKey> {
    return this.unitOfWork.run(async (tx) => {
      const where = { id, ...ownRows() };
      const key = await tx.manager.findOne(ApiKey, { where, lock: { mode: 'pessimistic_write' } });
      if (!key) throw new ApiKeyNotFound(id);
      const before = snapshot(key);
      work(key, tx);
      tx.changed('key', key.id, changesSince(before, key, ['previous_valid_until']));
      await this.save(key, tx);
      return key;
    });
  }

  private async save(key: ApiKey, tx: Transaction): Promise<void> {
    key.touch();
    await tx.manager.save(key);
    // The event tells all nodes; this one knows sooner.
    tx.afterCommit(() => this.ring.forget(key.prefix));
  }
}

const isPast = (time: Date | null): boolean => time !== null && time.getTime() <= Date.now();

function revokeKey(key: ApiKey, tx: Transaction): void {
  if (key.revoked_at !== null) return;
  key.revoked_at = new Date();
  tx.record(new ApiKeyRevoked(key.id, key.prefix, key.project_id, key.name));
}

function assertSensible({ role, agent_id, expires_at }: CreateApiKeyDto): void {
  if (agent_id && role !== Role.Agent) {
    throw new InvalidInput([{ pointer: '/agent_id', detail: 'is only for keys of role agent' }]);
  }
  if (isPast(expires_at ?? null)) throw new InvalidInput([{ pointer: '/expires_at', detail: 'must be in the future' }]);
}
