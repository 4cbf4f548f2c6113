import { Body, Controller, HttpCode, HttpStatus, Post, Req, Res, VERSION_NEUTRAL } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AgentsService } from '../agents/agents.service.js';
import { DEFAULT_LEASE_SECONDS } from '../agents/lease-seconds.js';
import { Access } from '../platform/access/access.decorator.js';
import { CredentialWatch } from '../platform/access/credential-watch.js';
import { Role } from '../platform/access/principal.js';
import { describeError } from '../platform/errors/describe-error.js';
import { ApiErrors } from '../platform/http/api.decorators.js';
import { AuditRefusalsOnly } from '../platform/http/audited.decorator.js';
import { Id } from '../platform/http/id.decorator.js';
import { departure } from '../platform/http/departure.js';
import { JsonText } from '../platform/http/json-text.js';
import { AddRouteConfig } from '../platform/http/route-config.js';
import { LimitedAs } from '../platform/limits/limit-class.js';
import { pathOf } from '../platform/http/version.js';
import {
  CompleteTaskDto,
  CompleteTasksDto,
  FailTaskDto,
  LeaseHeartbeatDto,
  LeaseTasksDto,
  ReleaseTaskDto,
} from './dto/lease.dto.js';
import { LeasedTaskResponse, LeaseRenewedResponse, TaskResponse, TaskResultResponse } from './dto/task.response.js';
import { assertMetrics } from './dto/task-metrics.js';
import { LeaseWaiters } from './lease-waiters.js';
import { TaskCompletions } from './task-completions.js';
import { TaskDispatch } from './task-dispatch.js';

/** How agents get tasks and give their results. */
@ApiTags('leases')
@LimitedAs('lease')
@Controller({ path: 'tasks', version: ['1', '2', VERSION_NEUTRAL] })
export class LeasesController {
  private readonly ends = new WeakMap<FastifyReply, AbortSignal>();

  constructor(
    private readonly dispatch: TaskDispatch,
    private readonly completions: TaskCompletions,
    private readonly waiters: LeaseWaiters,
    private readonly agents: AgentsService,
    private readonly credentials: CredentialWatch,
  ) {}

  @Post('lease')
  @Access(Role.Operator, Role.Agent)
  @AuditRefusalsOnly('each task that it hands out has an event, and without one it changes nothing')
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ operationId: 'lease_tasks', summary: 'Get tasks to work on, or wait for some' })
  @ApiOkResponse({ type: [LeasedTaskResponse] })
  @ApiErrors('not_found', 'invalid')
  async lease(@Body() dto: LeaseTasksDto, @Res({ passthrough: true }) reply: FastifyReply): Promise<JsonText> {
    const { max_tasks = 1, wait_seconds = 0, lease_seconds = DEFAULT_LEASE_SECONDS } = dto;
    const agent_id = await this.agents.resolveId(dto.agent_id);
    const request = { agent_id, max_tasks, lease_seconds };
    const rows = await this.waiters.lease(request, wait_seconds * 1000, this.endOf(reply));
    return JsonText.list(
      rows.map(({ json, lease_token: token, lease_expires_at: expires_at, attempt }) =>
        JsonText.object('task', new JsonText(json), { lease: { token, expires_at, attempt } }),
      ),
    );
  }

  /** Who has left, or whose credential ends while it waits, gets no task any more. With an idempotency key this is asked again. */
  private endOf(reply: FastifyReply): AbortSignal {
    const known = this.ends.get(reply);
    const end = known ?? AbortSignal.any([departure(reply), this.credentials.endBefore(reply)]);
    this.ends.set(reply, end);
    return end;
  }

  @Post('lease/complete')
  @Access(Role.Operator, Role.Agent)
  @HttpCode(HttpStatus.OK)
  @ApiOperation({
    operationId: 'complete_tasks',
    summary: 'Give several results in one call; each is taken or refused for itself, in the order of the answer',
  })
  @ApiOkResponse({ type: [TaskResultResponse] })
  @ApiErrors('invalid')
  async completeMany(
    @Body() { results }: CompleteTasksDto,
    @Req() request: FastifyRequest,
  ): Promise<TaskResultResponse[]> {
    results.forEach(({ metrics }, index) => assertMetrics(metrics, `/results/${index}/metrics`));
    const outcomes = await this.completions.completeMany(results);
    return outcomes.map((error, index) => ({
      task_id: results[index]!.task_id,
      is_completed: error === null,
      problem: error && describeError(error, pathOf(request.url), request.id).body,
    }));
  }

  @Post(':id/lease/heartbeat')
  @Access(Role.Operator, Role.Agent)
  @AuditRefusalsOnly('a sign of life, of which each task gets many; told progress has an event')
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ operationId: 'renew_lease', summary: 'Keep the lease; hear whether to stop' })
  @ApiOkResponse({ type: LeaseRenewedResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async heartbeat(@Id() id: string, @Body() dto: LeaseHeartbeatDto): Promise<LeaseRenewedResponse> {
    const { lease_expires_at, cancel_requested } = await this.dispatch.heartbeat(id, dto);
    return { expires_at: lease_expires_at!, cancel_requested };
  }

  @Post(':id/lease/complete')
  @Access(Role.Operator, Role.Agent)
  @HttpCode(HttpStatus.OK)
  @AddRouteConfig({ takes_large_output: true })
  @ApiOperation({ operationId: 'complete_task', summary: 'Give the result; the same call again gets the same answer' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  complete(@Id() id: string, @Body() dto: CompleteTaskDto): Promise<JsonText> {
    assertMetrics(dto.metrics);
    return this.completions.complete(id, dto);
  }

  @Post(':id/lease/fail')
  @Access(Role.Operator, Role.Agent)
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ operationId: 'fail_task', summary: 'Say that the attempt failed: it is tried again, or has failed' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async fail(@Id() id: string, @Body() dto: FailTaskDto): Promise<TaskResponse> {
    return TaskResponse.from(await this.dispatch.fail(id, dto));
  }

  @Post(':id/lease/release')
  @Access(Role.Operator, Role.Agent)
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ operationId: 'release_task', summary: 'Give the task back undone; not counted as an attempt' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async release(@Id() id: string, @Body() { lease_token }: ReleaseTaskDto): Promise<TaskResponse> {
    return TaskResponse.from(await this.dispatch.release(id, lease_token));
  }
}
