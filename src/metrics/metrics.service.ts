import { Injectable } from '@nestjs/common';
import { Registry } from 'prom-client';
import { processMetrics } from './process-metrics.js';

/** All metrics of this node, in the text form of Prometheus. The parts of this domain register theirs here. */
@Injectable()
export class MetricsService {
  readonly registry = new Registry();
  readonly content_type = this.registry.contentType;
  private readonly refreshing: (() => Promise<void>)[] = [];

  /** Called before each answer, for what is looked up only then. It must not fail, nor take long. */
  onScrape(refresh: () => Promise<void>): void {
    this.refreshing.push(refresh);
  }

  async text(): Promise<string> {
    await Promise.all(this.refreshing.map((refresh) => refresh()));
    return Registry.merge([processMetrics(), this.registry]).metrics();
  }
}
