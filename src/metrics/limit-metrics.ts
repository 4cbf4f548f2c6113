import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { OVERLOAD_REASONS } from '../platform/limits/limits.errors.js';
import { Overload } from '../platform/limits/overload.js';
import { RateLimits } from '../platform/limits/rate-limits.js';
import { MetricsService } from './metrics.service.js';

/** What this node has refused: because a caller asked for too much, or because all of them did. */
@Injectable()
export class LimitMetrics {
  constructor({ registry }: MetricsService, limits: RateLimits, overload: Overload) {
    const registers = [registry];
    counter('rate_limited', 'Requests refused because their caller has used up its limit', 'class', limits.refusals);
    counter('overload_refusals', 'New work refused while there was too much', 'reason', overload.refusals);
    const gauge: Gauge<'reason'> = new Gauge({
      name: 'flightdeck_overloaded',
      help: '1 while new work is refused for this reason, else 0',
      labelNames: ['reason'],
      registers,
      collect: () =>
        OVERLOAD_REASONS.forEach((reason) => gauge.set({ reason }, Number(overload.current.includes(reason)))),
    });

    function counter(name: string, help: string, label: string, totals: Readonly<Record<string, number>>): void {
      const one: Counter = new Counter({
        name: `flightdeck_${name}_total`,
        help,
        labelNames: [label],
        registers,
        // The totals are kept where they arise, as the platform knows no metrics.
        collect: () => {
          one.reset();
          for (const [value, total] of Object.entries(totals)) one.inc({ [label]: value }, total);
        },
      });
    }
  }
}
