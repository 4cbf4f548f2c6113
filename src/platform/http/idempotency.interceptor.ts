import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { lastValueFrom, type Observable, from } from 'rxjs';
import { Environment } from '../config/environment.js';
import { currentContext } from '../context/request-context.js';
import { Database, statement } from '../database/database.js';
import { UnitOfWork } from '../database/unit-of-work.js';
import { InvalidInput } from '../errors/common.errors.js';
import { AnswerSealed, IdempotencyKeyInUse, IdempotencyKeyReused } from './http.errors.js';
import { toJson } from './json-text.js';
import { NothingYet } from './nothing-yet.js';
import { answersSecret, Seal } from './sealed-answers.js';
import { pathOf } from './version.js';

const MAX_KEY_LENGTH = 255;
const KEPT_HEADERS = ['location'];

interface Kept {
  request_hash: string;
  status: number;
  headers: Record<string, string>;
  body: string;
}

const LOCK = statement('lock_idempotency_key', 'SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS is_free');
const FIND = statement(
  'find_idempotency_key',
  'SELECT request_hash, status, headers, body FROM idempotency_keys WHERE scope = $1',
);
const KEEP = statement(
  'keep_idempotency_key',
  'INSERT INTO idempotency_keys (scope, request_hash, status, headers, body) VALUES ($1, $2, $3, $4, $5)',
);

/**
 * Makes a retried POST or PATCH harmless. With an Idempotency-Key the whole request is one transaction, and its answer
 * is kept in it: after any crash either both the change and its answer exist or neither. Refusals are not kept, as
 * they changed nothing.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  private readonly seal: Seal;

  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    environment: Environment,
  ) {
    this.seal = new Seal(environment.SECRET_KEY);
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle();
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const key = request.headers['idempotency-key'];
    if (key === undefined || !['POST', 'PATCH'].includes(request.method)) return next.handle();
    if (typeof key !== 'string' || key.length === 0 || key.length > MAX_KEY_LENGTH) {
      throw new InvalidInput([{ pointer: 'Idempotency-Key', detail: `must have 1 to ${MAX_KEY_LENGTH} characters` }]);
    }
    const seal = answersSecret(context.getHandler()) ? this.seal : null;
    return from(this.once(key, request, context.switchToHttp().getResponse<FastifyReply>(), next, seal));
  }

  private async once(...request: Parameters<IdempotencyInterceptor['attempt']>): Promise<Buffer> {
    for (;;) {
      try {
        return await this.attempt(...request);
      } catch (error) {
        if (!(error instanceof NothingYet)) throw error;
        await error.over;
      }
    }
  }

  private attempt(
    key: string,
    request: FastifyRequest,
    reply: FastifyReply,
    next: CallHandler,
    seal: Seal | null,
  ): Promise<Buffer> {
    const { principal } = currentContext();
    // A key is its caller's own: another's answer is not for everybody. The path with a slash at its end is the same.
    const owner = principal ? `${principal.kind} ${principal.id} ` : '';
    const scope = `${owner}${request.method} ${pathOf(request.url).replace(/\/$/, '')} ${key}`;
    const request_hash = createHash('sha256')
      .update(JSON.stringify([request.query, request.body ?? null]))
      .digest('hex');

    return this.unitOfWork.run(async () => {
      const [lock] = await this.database.query<{ is_free: boolean }>(LOCK, [scope]);
      if (!lock!.is_free) throw new IdempotencyKeyInUse();
      const [kept] = await this.database.query<Kept & Record<string, unknown>>(FIND, [scope]);
      if (kept) return replay(kept, request_hash, reply, (body) => (seal ? opened(seal, body, scope) : body));

      const result: unknown = await lastValueFrom(next.handle());
      const body = result === undefined ? '' : toJson(result);
      const headers = Object.fromEntries(
        KEPT_HEADERS.map((name) => [name, reply.getHeader(name)]).filter(([, value]) => value !== undefined),
      ) as Record<string, string>;
      await this.database.query(KEEP, [
        scope,
        request_hash,
        reply.statusCode,
        headers,
        seal?.close(body, scope) ?? body,
      ]);
      return answer(reply, body);
    });
  }
}

function replay(kept: Kept, request_hash: string, reply: FastifyReply, open: (body: string) => string): Buffer {
  if (kept.request_hash !== request_hash) throw new IdempotencyKeyReused();
  const body = open(kept.body);
  reply.status(kept.status).headers(kept.headers).header('Idempotency-Replayed', 'true');
  return answer(reply, body);
}

function opened(seal: Seal, body: string, scope: string): string {
  const text = seal.open(body, scope);
  if (text === null) throw new AnswerSealed();
  return text;
}

/** As bytes, so that the first answer and its replays are the same. */
function answer(reply: FastifyReply, body: string): Buffer {
  reply.header('content-type', 'application/json; charset=utf-8');
  return Buffer.from(body);
}
