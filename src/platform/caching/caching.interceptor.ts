import { CACHE_MANAGER, type Cache } from '@nestjs/cache-manager';
import {
  type CallHandler,
  type ExecutionContext,
  HttpStatus,
  Inject,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { Environment } from '../config/environment.js';
import { toJson } from '../http/json-text.js';
import { PAGE_HEADERS } from '../http/page.interceptor.js';
import { type CacheResult, CacheUsage } from './cache-usage.js';
import { answerOf, type CachedAnswer, isKnown } from './cached-answer.js';
import { type CachedOptions, cachedOptionsOf } from './cached-options.js';
import { LogVersions } from './log-versions.js';
import { keyOf, questionOf } from './question.js';

/** What pages in browsers may read of it, beside what they always may. */
export const CACHE_HEADERS = ['ETag', 'X-Cache'] as const;

/** Whose answers differ: how a credential comes. */
const VARY = 'Authorization, X-API-Key';
/** A client that wants it from the source says so: RFC 9111, 5.2.1. */
const isFreshWanted = (cache_control = ''): boolean =>
  cache_control.split(',').some((directive) => /^no-(cache|store)$/i.test(directive.trim()));

interface Found {
  result: CacheResult;
  answer: CachedAnswer;
}

/** Gives an answer that was made before as long as nothing has happened that would change it, and 304 to who has it. */
@Injectable()
export class CachingInterceptor implements NestInterceptor {
  constructor(
    private readonly environment: Environment,
    private readonly versions: LogVersions,
    private readonly usage: CacheUsage,
    @Inject(CACHE_MANAGER) private readonly cache: Cache,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    const options = cachedOptionsOf(context.getHandler());
    return from(this.answer(options, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>(), next));
  }

  private async answer(
    options: CachedOptions,
    request: FastifyRequest,
    reply: FastifyReply,
    next: CallHandler,
  ): Promise<Buffer | undefined> {
    const route = request.routeOptions.url!;
    const { answer, result } = await this.find(options, route, request, async () => {
      const body = toJson(await lastValueFrom(next.handle()));
      return answerOf(body, pageHeadersOf(reply));
    });
    this.usage.count(route, result);
    reply.headers({ ...answer.headers, ETag: answer.etag, 'Cache-Control': 'private, no-cache', 'X-Cache': result });
    reply.header('Vary', [reply.getHeader('Vary'), VARY].filter(Boolean).join(', '));
    if (isKnown(answer, request.headers['if-none-match'])) {
      reply.status(HttpStatus.NOT_MODIFIED);
      return undefined;
    }
    reply.header('content-type', 'application/json; charset=utf-8');
    return answer.body;
  }

  private async find(
    { until, seconds }: CachedOptions,
    route: string,
    request: FastifyRequest,
    make: () => Promise<CachedAnswer>,
  ): Promise<Found> {
    const { ENABLE_CACHING, CACHE_TTL_DEFAULT } = this.environment;
    const isWanted = ENABLE_CACHING && !isFreshWanted(request.headers['cache-control']);
    // The version comes before the data: what changes while it is read leads to another version.
    const version = isWanted && !this.usage.rests(route) ? await this.versions.current(until) : null;
    if (version === null) return { result: 'BYPASS', answer: await make() };
    let result: CacheResult = 'HIT';
    // Who asks the same at the same time waits for one answer.
    const answer = await this.cache.wrap(
      keyOf(questionOf(request), version),
      () => {
        result = 'MISS';
        return make();
      },
      Math.min(CACHE_TTL_DEFAULT, seconds ?? Infinity) * 1000,
    );
    return { result, answer };
  }
}

function pageHeadersOf(reply: FastifyReply): Record<string, string> {
  return Object.fromEntries(
    PAGE_HEADERS.flatMap((name) => {
      const value = reply.getHeader(name);
      return value === undefined ? [] : [[name, String(value)]];
    }),
  );
}
