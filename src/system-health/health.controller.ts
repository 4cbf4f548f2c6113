import { Controller, Get, HttpStatus, Res, VERSION_NEUTRAL } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { ApiOkResponse, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Public } from '../platform/access/access.decorator.js';
import { APP } from '../platform/config/app-info.js';
import { DrainingAdapter } from '../platform/http/draining-adapter.js';
import { Unlimited } from '../platform/limits/limit-class.js';
import {
  ApiHealthResponse,
  DetailedHealthResponse,
  HealthResponse,
  HealthzResponse,
  ReadinessResponse,
  ServiceInfoResponse,
} from './dto/health.response.js';
import { HealthService } from './health.service.js';

const { name: service, version, description } = APP;

/** What load balancers, orchestrators and people ask first. */
@ApiTags('health')
@Unlimited()
@Controller({ version: VERSION_NEUTRAL })
export class HealthController {
  constructor(
    private readonly health: HealthService,
    private readonly host: HttpAdapterHost<DrainingAdapter>,
  ) {}

  @Get()
  @Public()
  @ApiOperation({ operationId: 'get_service_info', summary: 'What this service is and where its parts are' })
  @ApiOkResponse({ type: ServiceInfoResponse })
  info(): ServiceInfoResponse {
    return {
      name: service,
      version,
      description,
      docs_url: '/docs',
      api_versions: { v1: '/api/v1', v2: '/api/v2', unversioned: '/api' },
      realtime: { protocol: 'socket.io', path: '/socket.io', namespace: '/' },
    };
  }

  @Get('health')
  @Public()
  @ApiOperation({ operationId: 'get_health', summary: 'Whether the process is alive; cheap' })
  @ApiOkResponse({ type: HealthResponse })
  async alive(): Promise<HealthResponse> {
    const components = await this.health.lastLook();
    return {
      status: 'healthy',
      service,
      version,
      timestamp: new Date(),
      uptime_seconds: Math.round(process.uptime()),
      checks: Object.fromEntries(Object.entries(components).map(([name, { status }]) => [name, status])),
    };
  }

  @Get('health/detailed')
  @Public()
  @ApiOperation({ operationId: 'get_detailed_health', summary: 'Every component, looked at now' })
  @ApiOkResponse({ type: DetailedHealthResponse })
  @ApiResponse({
    status: HttpStatus.SERVICE_UNAVAILABLE,
    type: DetailedHealthResponse,
    description: 'A component is away',
  })
  async detailed(@Res({ passthrough: true }) reply: FastifyReply): Promise<DetailedHealthResponse> {
    const components = await this.health.look();
    const isHealthy = Object.values(components).every(({ status }) => status === 'healthy');
    const body = { status: isHealthy ? 'healthy' : 'unhealthy', service, version, components };
    if (isHealthy) return body;
    reply.status(HttpStatus.SERVICE_UNAVAILABLE);
    return { ...body, detail: body };
  }

  @Get('health/ready')
  @Public()
  @ApiOperation({ operationId: 'get_readiness', summary: 'Whether requests may come here' })
  @ApiOkResponse({ type: ReadinessResponse })
  @ApiResponse({ status: HttpStatus.SERVICE_UNAVAILABLE, type: ReadinessResponse, description: 'Not now' })
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<ReadinessResponse> {
    const reasons = this.host.httpAdapter.isStopping ? ['stopping'] : await this.health.reasonsNotReady();
    if (reasons.length === 0) return { status: 'ready' };
    reply.status(HttpStatus.SERVICE_UNAVAILABLE);
    return { status: 'not_ready', reasons };
  }

  @Get('healthz')
  @Public()
  @ApiOperation({ operationId: 'get_healthz', summary: 'The checks in the words of BotArmy' })
  @ApiOkResponse({ type: HealthzResponse })
  @ApiResponse({ status: HttpStatus.SERVICE_UNAVAILABLE, type: HealthzResponse, description: 'All checks fail' })
  async healthz(@Res({ passthrough: true }) reply: FastifyReply): Promise<HealthzResponse> {
    const { database, redis, queue, event_log } = await this.health.look();
    const named = { database, redis, celery: queue, audit_system: event_log };
    const checks = Object.fromEntries(
      Object.entries(named).map(([name, { status }]) => [name, status === 'healthy' ? 'pass' : 'fail']),
    ) as unknown as HealthzResponse['checks'];
    const total = Object.keys(named).length;
    const passed = Object.values(checks).filter((check) => check === 'pass').length;
    if (passed === 0) reply.status(HttpStatus.SERVICE_UNAVAILABLE);
    return {
      status: passed === total ? 'healthy' : passed === 0 ? 'unhealthy' : 'degraded',
      service,
      version,
      timestamp: new Date(),
      checks,
      health_percentage: (passed / total) * 100,
      services_healthy: `${passed}/${total}`,
    };
  }

  @Get('health/z')
  @Public()
  @ApiOperation({ operationId: 'get_health_z', summary: 'The same as /healthz' })
  @ApiOkResponse({ type: HealthzResponse })
  @ApiResponse({ status: HttpStatus.SERVICE_UNAVAILABLE, type: HealthzResponse, description: 'All checks fail' })
  healthSlashZ(@Res({ passthrough: true }) reply: FastifyReply): Promise<HealthzResponse> {
    return this.healthz(reply);
  }

  @Get('api/health')
  @Public()
  @ApiOperation({ operationId: 'get_api_health', summary: 'Whether the API is alive' })
  @ApiOkResponse({ type: ApiHealthResponse })
  apiHealth(): ApiHealthResponse {
    return { status: 'healthy', timestamp: new Date(), version };
  }
}
