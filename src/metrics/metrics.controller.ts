import { Controller, Get, Header, Res, VERSION_NEUTRAL } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Public } from '../platform/access/access.decorator.js';
import { Unlimited } from '../platform/limits/limit-class.js';
import { MetricsService } from './metrics.service.js';

/** What Prometheus asks, every few seconds. Not in the OpenAPI document, which is for clients; see docs/operations.md. */
@ApiExcludeController()
@Unlimited()
@Controller({ path: 'metrics', version: VERSION_NEUTRAL })
export class MetricsController {
  constructor(private readonly metrics: MetricsService) {}

  @Get()
  @Public()
  @Header('Cache-Control', 'no-store')
  get(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    reply.header('content-type', this.metrics.content_type);
    return this.metrics.text();
  }
}
