import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { CacheUsage } from '../platform/caching/cache-usage.js';
import { MemoryStore } from '../platform/caching/memory-store.js';
import { MetricsService } from './metrics.service.js';

/** What the answers that this node keeps are good for, by route as it is written. */
@Injectable()
export class CacheMetrics {
  constructor({ registry }: MetricsService, usage: CacheUsage, memory: MemoryStore) {
    const registers = [registry];
    const requests: Counter<'route' | 'result'> = new Counter({
      name: 'flightdeck_cache_requests_total',
      help: 'Requests to cached routes: found (hit), made and kept (miss), or neither (bypass)',
      labelNames: ['route', 'result'],
      registers,
      collect: () => {
        requests.reset();
        for (const [route, totals] of usage.totals) {
          for (const [result, total] of Object.entries(totals)) {
            requests.inc({ route, result: result.toLowerCase() }, total);
          }
        }
      },
    });
    const gauge = (name: string, help: string, read: () => number): void => {
      const one: Gauge = new Gauge({
        name: `flightdeck_cache_${name}`,
        help,
        registers,
        collect: () => one.set(read()),
      });
    };
    gauge('entries', 'Answers that this node keeps in memory', () => memory.size);
    gauge('bytes', 'What they take', () => memory.bytes);
  }
}
