import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  HttpStatus,
  Patch,
  Post,
  Put,
  Query,
  VERSION_NEUTRAL,
} from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Access } from '../platform/access/access.decorator.js';
import { Role } from '../platform/access/principal.js';
import { Cached } from '../platform/caching/cached.decorator.js';
import { ApiErrors, ApiIdempotent, Listed } from '../platform/http/api.decorators.js';
import { AuditRefusalsOnly } from '../platform/http/audited.decorator.js';
import { Created } from '../platform/http/created.interceptor.js';
import { mapPage, type Page } from '../platform/http/page.js';
import { LimitedAs } from '../platform/limits/limit-class.js';
import { AgentPresence } from './agent-presence.js';
import { AgentRef, ApiAgentRef } from './agent-ref.decorator.js';
import { AgentsService } from './agents.service.js';
import { AgentMetricsDto } from './dto/agent-metrics.dto.js';
import { AgentResponse, AgentSummaryResponse, HeartbeatResponse } from './dto/agent.response.js';
import { CreateAgentDto } from './dto/create-agent.dto.js';
import { HeartbeatDto } from './dto/heartbeat.dto.js';
import { ListAgentsQuery } from './dto/list-agents.query.js';
import { UpdateAgentStatusDto } from './dto/update-agent-status.dto.js';
import { UpdateAgentDto } from './dto/update-agent.dto.js';
import { DEFAULT_LEASE_SECONDS } from './lease-seconds.js';

/** It grows all the time without an event, and signs of life are written once in so many seconds. */
const UPTIME_STANDS_SECONDS = 1;

@ApiTags('agents')
@Controller({ path: 'agents', version: ['1', '2', VERSION_NEUTRAL] })
export class AgentsController {
  constructor(
    private readonly agents: AgentsService,
    private readonly presence: AgentPresence,
  ) {}

  @Get()
  @Access(Role.Viewer)
  @Listed(AgentResponse)
  @ApiOperation({ operationId: 'list_agents', summary: 'List agents, newest first' })
  async list(@Query() query: ListAgentsQuery): Promise<Page<AgentResponse>> {
    return mapPage(await this.agents.list(query), AgentResponse.from);
  }

  @Post()
  @Access(Role.Operator, Role.Agent)
  @Created()
  @ApiIdempotent()
  @ApiOperation({ operationId: 'create_agent', summary: 'Register an agent' })
  @ApiCreatedResponse({ type: AgentResponse })
  @ApiErrors('invalid', 'conflict')
  async create(@Body() dto: CreateAgentDto): Promise<AgentResponse> {
    return AgentResponse.from(await this.agents.create(dto));
  }

  @Get('stats/summary')
  @Access(Role.Viewer)
  @Cached({ until: ['agent_*', 'task*', 'project_deleted'], seconds: UPTIME_STANDS_SECONDS })
  @ApiOperation({ operationId: 'summarise_agents', summary: 'How many agents there are and how they do' })
  @ApiOkResponse({ type: AgentSummaryResponse })
  @ApiErrors()
  summarise(): Promise<AgentSummaryResponse> {
    return this.agents.summarise();
  }

  @Get(':id')
  @Access(Role.Viewer, Role.Agent)
  @ApiAgentRef()
  @ApiOperation({ operationId: 'get_agent', summary: 'Get one agent' })
  @ApiOkResponse({ type: AgentResponse })
  @ApiErrors('not_found', 'invalid')
  async get(@AgentRef() ref: string): Promise<AgentResponse> {
    return AgentResponse.from(await this.agents.get(ref));
  }

  @Put(':id')
  @Access(Role.Operator, Role.Agent)
  @ApiAgentRef()
  @ApiOperation({ operationId: 'update_agent', summary: 'Change the given fields of an agent' })
  @ApiOkResponse({ type: AgentResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async update(@AgentRef() ref: string, @Body() dto: UpdateAgentDto): Promise<AgentResponse> {
    return AgentResponse.from(await this.agents.update(ref, dto));
  }

  @Delete(':id')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiAgentRef()
  @ApiOperation({
    operationId: 'delete_agent',
    summary: 'Delete an agent; what it works on becomes pending again, what it finished keeps its id',
  })
  @ApiNoContentResponse()
  @ApiErrors('not_found', 'invalid')
  delete(@AgentRef() ref: string): Promise<void> {
    return this.agents.delete(ref);
  }

  @Patch(':id/status')
  @Access(Role.Operator, Role.Agent)
  @ApiAgentRef()
  @ApiIdempotent()
  @ApiOperation({ operationId: 'update_agent_status', summary: "Set an agent's status and current task" })
  @ApiOkResponse({ type: AgentResponse })
  @ApiErrors('not_found', 'invalid')
  async setStatus(@AgentRef() ref: string, @Body() dto: UpdateAgentStatusDto): Promise<AgentResponse> {
    return AgentResponse.from(await this.agents.setStatus(ref, dto));
  }

  @Patch(':id/metrics')
  @Access(Role.Operator, Role.Agent)
  @ApiAgentRef()
  @ApiIdempotent()
  @ApiOperation({ operationId: 'update_agent_metrics', summary: "Set an agent's metrics from outside" })
  @ApiOkResponse({ type: AgentResponse })
  @ApiErrors('not_found', 'invalid')
  async setMetrics(@AgentRef() ref: string, @Body() dto: AgentMetricsDto): Promise<AgentResponse> {
    return AgentResponse.from(await this.agents.setMetrics(ref, dto));
  }

  @Post(':id/heartbeat')
  @Access(Role.Operator, Role.Agent)
  @LimitedAs('lease')
  @AuditRefusalsOnly('a sign of life, of which each agent gives many')
  @HttpCode(HttpStatus.OK)
  @ApiAgentRef()
  @ApiOperation({
    operationId: 'send_agent_heartbeat',
    summary: 'Say that an agent is alive; hear what it should stop',
  })
  @ApiOkResponse({ type: HeartbeatResponse })
  @ApiErrors('not_found', 'invalid')
  async heartbeat(@AgentRef() ref: string, @Body() dto: HeartbeatDto): Promise<HeartbeatResponse> {
    const cancel_requested = await this.presence.heartbeat(ref, dto);
    return {
      status: 'heartbeat_received',
      timestamp: new Date(),
      cancel_requested,
      lease_seconds: DEFAULT_LEASE_SECONDS,
    };
  }

  @Post(':id/drain')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.OK)
  @ApiAgentRef()
  @ApiOperation({ operationId: 'drain_agent', summary: 'Give an agent no new tasks; what it holds goes on' })
  @ApiOkResponse({ type: AgentResponse })
  @ApiErrors('not_found', 'invalid')
  async drain(@AgentRef() ref: string): Promise<AgentResponse> {
    return AgentResponse.from(await this.agents.setDraining(ref, true));
  }

  @Post(':id/resume')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.OK)
  @ApiAgentRef()
  @ApiOperation({ operationId: 'resume_agent', summary: 'Give an agent tasks again' })
  @ApiOkResponse({ type: AgentResponse })
  @ApiErrors('not_found', 'invalid')
  async resume(@AgentRef() ref: string): Promise<AgentResponse> {
    return AgentResponse.from(await this.agents.setDraining(ref, false));
  }
}
