import { Module } from '@nestjs/common';
import { CacheMetrics } from './cache-metrics.js';
import { EventMetrics } from './event-metrics.js';
import { HttpMetrics } from './http-metrics.js';
import { LimitMetrics } from './limit-metrics.js';
import { MetricsController } from './metrics.controller.js';
import { MetricsServer } from './metrics-server.js';
import { MetricsService } from './metrics.service.js';
import { NodeMetrics } from './node-metrics.js';
import { QueueMetrics } from './queue-metrics.js';
import { QueueReader } from './queue-reader.js';

@Module({
  controllers: [MetricsController],
  providers: [
    MetricsService,
    MetricsServer,
    HttpMetrics,
    EventMetrics,
    NodeMetrics,
    LimitMetrics,
    CacheMetrics,
    QueueReader,
    QueueMetrics,
  ],
})
export class MetricsModule {}
