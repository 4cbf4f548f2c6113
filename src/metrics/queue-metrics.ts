import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { MetricsService } from './metrics.service.js';
import { QueueReader } from './queue-reader.js';

/** Gauges of the whole database: every node reports the same. When it does not answer, they are absent. */
@Injectable()
export class QueueMetrics {
  private readonly isUp: Gauge;
  private readonly depth: Gauge<'agent_type'>;
  private readonly age: Gauge<'agent_type'>;
  private readonly leases: Gauge;
  private readonly lagSeconds: Gauge<'consumer'>;
  private readonly lagEvents: Gauge<'consumer'>;

  constructor(
    metrics: MetricsService,
    private readonly state: QueueReader,
  ) {
    const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
      new Gauge<Label>({ name: `flightdeck_${name}`, help, labelNames, registers: [metrics.registry] });
    this.isUp = gauge('database_up', '1 when the database answers this node, else 0');
    this.depth = gauge('queue_depth', 'Tasks that are ready to be leased, by type of agent; * is anyone', 'agent_type');
    this.age = gauge('queue_oldest_age_seconds', 'How long the oldest of them has been ready', 'agent_type');
    this.leases = gauge('leases_held', 'Tasks that agents hold right now');
    this.lagSeconds = gauge('event_consumer_lag_seconds', 'Age of the oldest event that it has not read', 'consumer');
    this.lagEvents = gauge('event_consumer_lag_events', 'Events that it has not read, up to 10000', 'consumer');
    metrics.onScrape(() => this.refresh());
  }

  private async refresh(): Promise<void> {
    const state = await this.state.read();
    for (const gauge of [this.depth, this.age, this.leases, this.lagSeconds, this.lagEvents]) gauge.reset();
    this.isUp.set(state ? 1 : 0);
    if (!state) return;
    for (const { agent_type, depth, age_seconds } of state.queues) {
      this.depth.set({ agent_type }, depth);
      this.age.set({ agent_type }, age_seconds);
    }
    for (const { name: consumer, seconds, events } of state.consumers) {
      this.lagSeconds.set({ consumer }, seconds);
      this.lagEvents.set({ consumer }, events);
    }
    this.leases.set(state.leases_held);
  }
}
