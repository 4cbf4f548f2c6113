import { ApiProperty } from '@nestjs/swagger';
import { ShownNumber, ShownObject, ShownText, ShownTexts, ShownTime } from '../../platform/http/response-fields.js';

export class HealthResponse {
  @ApiProperty({ enum: ['healthy'] })
  status: 'healthy';

  @ShownText()
  service: string;

  @ShownText()
  version: string;

  @ShownTime()
  timestamp: Date;

  @ShownNumber()
  uptime_seconds: number;

  @ShownObject({ additionalProperties: { type: 'string' }, description: 'What was last seen of each component' })
  checks: Record<string, string>;
}

export class ComponentResponse {
  @ApiProperty({ enum: ['healthy', 'unhealthy'], enumName: 'ComponentStatus' })
  status: string;

  @ShownText()
  message: string;

  @ShownNumber()
  latency_ms: number;
}

export class ComponentsResponse {
  @ApiProperty({ type: ComponentResponse })
  database: ComponentResponse;

  @ApiProperty({ type: ComponentResponse })
  queue: ComponentResponse;

  @ApiProperty({ type: ComponentResponse })
  redis: ComponentResponse;

  @ApiProperty({ type: ComponentResponse })
  realtime: ComponentResponse;

  @ApiProperty({ type: ComponentResponse })
  event_log: ComponentResponse;
}

export class DetailedHealthResponse {
  @ApiProperty({ enum: ['healthy', 'unhealthy'], enumName: 'ComponentStatus' })
  status: string;

  @ShownText()
  service: string;

  @ShownText()
  version: string;

  @ApiProperty({ type: ComponentsResponse })
  components: ComponentsResponse;

  @ShownObject({ required: false, description: 'On 503 the same object again' })
  detail?: unknown;
}

export class ReadinessResponse {
  @ApiProperty({ enum: ['ready', 'not_ready'], enumName: 'Readiness' })
  status: string;

  @ShownTexts({ required: false })
  reasons?: string[];
}

export class HealthzChecksResponse {
  @ApiProperty({ enum: ['pass', 'fail'], enumName: 'HealthzCheck' })
  database: string;

  @ApiProperty({ enum: ['pass', 'fail'], enumName: 'HealthzCheck' })
  redis: string;

  @ApiProperty({ enum: ['pass', 'fail'], enumName: 'HealthzCheck', description: 'The job queue' })
  celery: string;

  @ApiProperty({ enum: ['pass', 'fail'], enumName: 'HealthzCheck', description: 'The event log' })
  audit_system: string;
}

export class HealthzResponse {
  @ApiProperty({ enum: ['healthy', 'degraded', 'unhealthy'], enumName: 'HealthzStatus' })
  status: string;

  @ShownText()
  service: string;

  @ShownText()
  version: string;

  @ShownTime()
  timestamp: Date;

  @ApiProperty({ type: HealthzChecksResponse })
  checks: HealthzChecksResponse;

  @ShownNumber()
  health_percentage: number;

  @ShownText({ example: '4/4' })
  services_healthy: string;
}

export class ApiHealthResponse {
  @ApiProperty({ enum: ['healthy'] })
  status: string;

  @ShownTime()
  timestamp: Date;

  @ShownText()
  version: string;
}

class ApiVersionsResponse {
  @ShownText()
  v1: string;

  @ShownText()
  v2: string;

  @ShownText()
  unversioned: string;
}

class RealtimeResponse {
  @ShownText({ example: 'socket.io' })
  protocol: string;

  @ShownText()
  path: string;

  @ShownText()
  namespace: string;
}

export class ServiceInfoResponse {
  @ShownText()
  name: string;

  @ShownText()
  version: string;

  @ShownText()
  description: string;

  @ShownText()
  docs_url: string;

  @ApiProperty({ type: ApiVersionsResponse })
  api_versions: ApiVersionsResponse;

  @ApiProperty({ type: RealtimeResponse })
  realtime: RealtimeResponse;
}
