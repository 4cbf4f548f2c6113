import { Injectable } from '@nestjs/common';

/** As `X-Cache` says it: found, made and kept, or neither looked for nor kept. */
export type CacheResult = 'HIT' | 'MISS' | 'BYPASS';

const SPAN_MS = 1_000;
/** So many answers are kept in vain within a span before a route rests for the next one. */
const IN_VAIN = 100;
/** Below this share of hits a cache costs more than it spares. */
const LEAST_HITS = 1 / 20;

interface Span {
  ends_at: number;
  hits: number;
  misses: number;
  rests: boolean;
}

/** What the cache is good for, by route. One whose data changes all the time, or that is asked another thing each time, rests. */
@Injectable()
export class CacheUsage {
  /** Since the start, by route and result. */
  readonly totals = new Map<string, Record<CacheResult, number>>();
  private readonly spans = new Map<string, Span>();

  /** Whether it is no use to look for answers of the route right now. */
  rests(route: string): boolean {
    return this.spanOf(route).rests;
  }

  count(route: string, result: CacheResult): void {
    const totals = this.totals.get(route) ?? { HIT: 0, MISS: 0, BYPASS: 0 };
    this.totals.set(route, totals);
    totals[result]++;
    const span = this.spanOf(route);
    if (result === 'HIT') span.hits++;
    if (result === 'MISS') span.misses++;
  }

  private spanOf(route: string): Span {
    const now = performance.now();
    const known = this.spans.get(route);
    if (known && known.ends_at > now) return known;
    const rests = known !== undefined && known.misses >= IN_VAIN && known.hits < known.misses * LEAST_HITS;
    const span = { ends_at: now + SPAN_MS, hits: 0, misses: 0, rests };
    this.spans.set(route, span);
    return span;
  }
}
