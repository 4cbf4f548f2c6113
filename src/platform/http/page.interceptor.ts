import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import { JsonText } from './json-text.js';
import type { Page } from './page.js';
import { isVersioned, pathOf } from './version.js';

/** How v1 and v2 tell of the list around the page. */
export const PAGE_HEADERS = [
  'X-Total-Count',
  'X-Total-Count-Estimated',
  'X-Page-Size',
  'X-Current-Page',
  'X-Total-Pages',
  'X-Next-Cursor',
  'Link',
] as const;

const DEFAULT_LIMIT = { versioned: 100, unversioned: 50 };

/** Gives a list its default size and its shape: an array with headers for v1 and v2, an envelope without version. */
@Injectable()
export class PageInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<Page<unknown>>): Observable<unknown> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    const versioned = isVersioned(request.url);
    const query = request.query as Record<string, unknown>;
    query.limit ??= String(versioned ? DEFAULT_LIMIT.versioned : DEFAULT_LIMIT.unversioned);

    return next.handle().pipe(
      map((page) => {
        const items = isText(page.items) ? JsonText.list(page.items) : page.items;
        if (versioned) {
          reply.headers(pageHeaders(page, request.url));
          return items;
        }
        const { total, total_is_estimate, skip, limit, next_cursor } = page;
        const rest = { total, ...(total_is_estimate && { total_is_estimate }), skip, limit, next_cursor };
        return items instanceof JsonText ? JsonText.object('items', items, rest) : { items, ...rest };
      }),
    );
  }
}

const isText = (items: unknown[]): items is JsonText[] => items[0] instanceof JsonText;

function pageHeaders({ total, total_is_estimate, skip, limit, next_cursor }: Page<unknown>, url: string) {
  const headers: Partial<Record<(typeof PAGE_HEADERS)[number], string>> = {
    'X-Page-Size': String(limit),
    'X-Current-Page': String(Math.floor(skip / limit) + 1),
  };
  if (total !== null) {
    headers['X-Total-Count'] = String(total);
    headers['X-Total-Pages'] = String(Math.ceil(total / limit));
  }
  if (total_is_estimate) headers['X-Total-Count-Estimated'] = 'true';
  if (next_cursor !== null) {
    headers['X-Next-Cursor'] = next_cursor;
    headers.Link = `<${nextUrl(url, next_cursor)}>; rel="next"`;
  }
  return headers;
}

function nextUrl(url: string, cursor: string): string {
  const query = new URLSearchParams(url.slice(pathOf(url).length + 1));
  query.delete('skip');
  query.set('cursor', cursor);
  return `${pathOf(url)}?${query.toString()}`;
}
