import { Body, Controller, Get, HttpCode, HttpStatus, Post, VERSION_NEUTRAL } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Access } from '../platform/access/access.decorator.js';
import { Role } from '../platform/access/principal.js';
import { ApiErrors, ApiIdempotent } from '../platform/http/api.decorators.js';
import { Id } from '../platform/http/id.decorator.js';
import { RerunDto } from './dto/change-workflow.dto.js';
import { RunResponse } from './dto/run.response.js';
import { RunsService } from './runs.service.js';

@ApiTags('runs')
@Controller({ path: 'runs', version: ['1', '2', VERSION_NEUTRAL] })
export class RunsController {
  constructor(private readonly runs: RunsService) {}

  @Get(':id')
  @Access(Role.Viewer)
  @ApiOperation({ operationId: 'get_run', summary: 'Get one run with its steps' })
  @ApiOkResponse({ type: RunResponse })
  @ApiErrors('not_found', 'invalid')
  async get(@Id() id: string): Promise<RunResponse> {
    return RunResponse.from(await this.runs.get(id));
  }

  @Post(':id/pause')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.OK)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'pause_run', summary: 'Lease no more of its tasks; what is in progress goes on' })
  @ApiOkResponse({ type: RunResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async pause(@Id() id: string): Promise<RunResponse> {
    return RunResponse.from(await this.runs.pause(id));
  }

  @Post(':id/resume')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.OK)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'resume_run', summary: 'Go on with a paused run' })
  @ApiOkResponse({ type: RunResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async resume(@Id() id: string): Promise<RunResponse> {
    return RunResponse.from(await this.runs.resume(id));
  }

  @Post(':id/cancel')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.OK)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'cancel_run', summary: 'End a run; agents are asked to stop what is in progress' })
  @ApiOkResponse({ type: RunResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async cancel(@Id() id: string): Promise<RunResponse> {
    return RunResponse.from(await this.runs.cancel(id));
  }

  @Post(':id/rerun')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.ACCEPTED)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'rerun', summary: 'Run again with the same input, all of it or from the failure' })
  @ApiAcceptedResponse({ type: RunResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async rerun(@Id() id: string, @Body() { from_failure = false }: RerunDto): Promise<RunResponse> {
    return RunResponse.from(await this.runs.rerun(id, from_failure));
  }
}
