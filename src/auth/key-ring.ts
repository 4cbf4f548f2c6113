import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { isOver, type Principal, Role } from '../platform/access/principal.js';
import { Batch } from '../platform/database/batch.js';
import { Database, statement } from '../platform/database/database.js';
import { inOrder } from '../platform/database/gather.js';
import type { ApiKey } from './api-key.entity.js';
import { hashSecret, isSameHash, type KeyText } from './key-text.js';

/**
 * How long a key is believed to be what it was when the database was last asked. The event log tells of changes at once;
 * this also holds where an event is late, as one long transaction holds all of them back.
 */
const FRESH_MS = 750;
/** A key in use is looked up again in the background, so that no request waits for it. */
const STALE_SOON_MS = 400;
const MOST_KNOWN = 10_000;

const FIND = statement(
  'find_api_keys',
  `SELECT id, prefix, secret_hash, previous_secret_hash, previous_valid_until, name, role, project_id, agent_id, expires_at
   FROM api_keys WHERE prefix = ANY ($1) AND revoked_at IS NULL`,
);

type Row = Pick<ApiKey, 'id' | 'prefix' | 'name' | 'role' | 'project_id' | 'agent_id' | 'expires_at'> &
  Pick<ApiKey, 'secret_hash' | 'previous_secret_hash' | 'previous_valid_until'>;

/** A key as this node knows it. */
interface Known {
  principal: Principal;
  hash: Buffer;
  /** With the secret before the last rotation: ends with the overlap. */
  previous: { principal: Principal; hash: Buffer } | null;
  found_at: number;
}

/** Compared with where there is no key, so that this takes as long. */
const NOBODY = hashSecret('nobody');

/** Proves API keys. Those in use are known in memory: a request then costs one SHA-256 and no statement. */
@Injectable()
export class KeyRing {
  private readonly known = new LRUCache<string, Known>({ max: MOST_KNOWN });
  /** Counts what was forgotten: what was read before that is not kept. */
  private generation = 0;
  private readonly finding = new Set<string>();
  private readonly lookups = new Batch((prefixes: string[]) => this.findAll(prefixes));

  constructor(private readonly database: Database) {}

  /** Whose key it is, if that is known already and needs no look; else null. */
  recall({ prefix, secret }: KeyText): Principal | null {
    const hash = hashSecret(secret);
    const known = this.known.get(prefix);
    if (!known) return null;
    const age = performance.now() - known.found_at;
    const principal = age > FRESH_MS ? null : accept(known, hash);
    if (principal && age > STALE_SOON_MS) this.refresh(prefix);
    return principal;
  }

  /** Asks the database. An unknown key and a wrong secret take the same way. */
  async prove({ prefix, secret }: KeyText): Promise<Principal | null> {
    const known = await this.find(prefix);
    const hash = hashSecret(secret);
    if (known) return accept(known, hash);
    isSameHash(hash, NOBODY);
    return null;
  }

  /** It was changed: the next use looks it up. */
  forget(prefix: string): void {
    this.generation++;
    this.known.delete(prefix);
  }

  private refresh(prefix: string): void {
    if (this.finding.has(prefix)) return;
    this.finding.add(prefix);
    // A failure is told to the request that has to wait for an answer.
    void this.find(prefix)
      .catch(() => undefined)
      .finally(() => this.finding.delete(prefix));
  }

  private async find(prefix: string): Promise<Known | null> {
    const { generation } = this;
    const asked_at = performance.now();
    const row = await this.lookups.add(prefix);
    const known = row && knownFrom(row, asked_at);
    if (generation === this.generation) this.keep(prefix, known);
    return known;
  }

  private keep(prefix: string, known: Known | null): void {
    // One that has no agent yet may get it by any request, on any node.
    if (!known || isUnbound(known.principal)) this.known.delete(prefix);
    else this.known.set(prefix, known);
  }

  private async findAll(prefixes: string[]): Promise<(Row | null)[]> {
    const rows = await this.database.query<Row & Record<string, unknown>>(FIND, [[...new Set(prefixes)]]);
    return inOrder(prefixes, rows, 'prefix');
  }
}

const isUnbound = ({ role, agent_id }: Principal): boolean => role === Role.Agent && agent_id === null;

function accept({ principal, hash, previous }: Known, given: Buffer): Principal | null {
  const isCurrent = isSameHash(given, hash);
  const isPrevious = isSameHash(given, previous?.hash ?? NOBODY);
  const proved = isCurrent ? principal : isPrevious && previous ? previous.principal : null;
  return proved === null || isOver(proved) ? null : proved;
}

function knownFrom(row: Row, found_at: number): Known {
  const { id, name, role, project_id, agent_id, expires_at, prefix } = row;
  const { secret_hash, previous_secret_hash, previous_valid_until } = row;
  const principal = { kind: 'api_key' as const, id, name, role, project_id, key_prefix: prefix, agent_id, expires_at };
  return {
    principal,
    hash: Buffer.from(secret_hash, 'hex'),
    previous:
      previous_secret_hash !== null && previous_valid_until !== null
        ? {
            principal: { ...principal, expires_at: earlier(expires_at, previous_valid_until) },
            hash: Buffer.from(previous_secret_hash, 'hex'),
          }
        : null,
    found_at,
  };
}

const earlier = (one: Date | null, other: Date): Date => (one !== null && one < other ? one : other);
