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
import {
  ApiAcceptedResponse,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import { Access } from '../platform/access/access.decorator.js';
import { Role } from '../platform/access/principal.js';
import { Cached } from '../platform/caching/cached.decorator.js';
import { ApiErrors, ApiIdempotent, Listed } from '../platform/http/api.decorators.js';
import { AuditRefusalsOnly } from '../platform/http/audited.decorator.js';
import { Created } from '../platform/http/created.interceptor.js';
import { Id } from '../platform/http/id.decorator.js';
import type { JsonText } from '../platform/http/json-text.js';
import { mapPage, type Page } from '../platform/http/page.js';
import { ListTasksQuery } from '../tasks/dto/list-tasks.query.js';
import { TaskResponse } from '../tasks/dto/task.response.js';
import { TasksService } from '../tasks/tasks.service.js';
import {
  AssignWorkflowAgentDto,
  ExecuteWorkflowDto,
  UpdateWorkflowDto,
  UpdateWorkflowStatusDto,
  ValidateWorkflowDto,
} from './dto/change-workflow.dto.js';
import { CreateWorkflowDto } from './dto/create-workflow.dto.js';
import { GraphQuery, ListRunsQuery, ListWorkflowsQuery } from './dto/list-workflows.query.js';
import { RunResponse } from './dto/run.response.js';
import {
  ExecutedResponse,
  GraphResponse,
  ValidationResponse,
  WorkflowResponse,
  WorkflowSummaryResponse,
} from './dto/workflow.response.js';
import { RunsService } from './runs.service.js';
import { WorkflowAgents } from './workflow-agents.js';
import { WorkflowsService } from './workflows.service.js';

/** A run writes to its workflow whenever one of its tasks moves on; deleted agents are taken off. */
const CHANGES_OF_WORKFLOWS = ['workflow_*', 'run_*', 'task*', 'agent_*', 'project_deleted'];

@ApiTags('workflows')
@Controller({ path: 'workflows', version: ['1', '2', VERSION_NEUTRAL] })
export class WorkflowsController {
  constructor(
    private readonly workflows: WorkflowsService,
    private readonly agents: WorkflowAgents,
    private readonly runs: RunsService,
    private readonly tasks: TasksService,
  ) {}

  @Get()
  @Access(Role.Viewer)
  @Cached({ until: CHANGES_OF_WORKFLOWS })
  @Listed(WorkflowResponse)
  @ApiOperation({ operationId: 'list_workflows', summary: 'List workflows, newest first' })
  async list(@Query() query: ListWorkflowsQuery): Promise<Page<WorkflowResponse>> {
    return mapPage(await this.workflows.list(query), WorkflowResponse.from);
  }

  @Post()
  @Access(Role.Operator)
  @Created()
  @ApiIdempotent()
  @ApiOperation({ operationId: 'create_workflow', summary: 'Create a workflow' })
  @ApiCreatedResponse({ type: WorkflowResponse })
  @ApiErrors('invalid', 'conflict')
  async create(@Body() dto: CreateWorkflowDto): Promise<WorkflowResponse> {
    return WorkflowResponse.from(await this.workflows.create(dto));
  }

  @Get('stats/summary')
  @Access(Role.Viewer)
  @ApiOperation({ operationId: 'summarise_workflows', summary: 'How many workflows there are and how they do' })
  @ApiOkResponse({ type: WorkflowSummaryResponse })
  @ApiErrors()
  summarise(): Promise<WorkflowSummaryResponse> {
    return this.workflows.summarise();
  }

  @Get(':id')
  @Access(Role.Viewer)
  @ApiOperation({ operationId: 'get_workflow', summary: 'Get one workflow' })
  @ApiOkResponse({ type: WorkflowResponse })
  @ApiErrors('not_found', 'invalid')
  async get(@Id() id: string): Promise<WorkflowResponse> {
    return WorkflowResponse.from(await this.workflows.get(id));
  }

  @Put(':id')
  @Access(Role.Operator)
  @ApiOperation({
    operationId: 'update_workflow',
    summary: 'Change the given fields; a run that has begun keeps its definition',
  })
  @ApiOkResponse({ type: WorkflowResponse })
  @ApiErrors('not_found', 'invalid')
  async update(@Id() id: string, @Body() dto: UpdateWorkflowDto): Promise<WorkflowResponse> {
    return WorkflowResponse.from(await this.workflows.update(id, dto));
  }

  @Delete(':id')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({
    operationId: 'delete_workflow',
    summary: 'Delete a workflow without a live run, with its runs and tasks',
  })
  @ApiNoContentResponse()
  @ApiErrors('not_found', 'invalid', 'conflict')
  delete(@Id() id: string): Promise<void> {
    return this.workflows.delete(id);
  }

  @Patch(':id/status')
  @Access(Role.Operator)
  @ApiIdempotent()
  @ApiOperation({
    operationId: 'update_workflow_status',
    summary: 'Pause, resume or cancel the live run; activate or deactivate',
  })
  @ApiOkResponse({ type: WorkflowResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async setStatus(@Id() id: string, @Body() { status }: UpdateWorkflowStatusDto): Promise<WorkflowResponse> {
    await this.runs.setWorkflowStatus(id, status);
    return WorkflowResponse.from(await this.workflows.get(id));
  }

  @Post(':id/agents')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.OK)
  @ApiIdempotent()
  @ApiOperation({
    operationId: 'assign_workflow_agent',
    summary: 'Let only assigned agents do the tasks of a workflow',
  })
  @ApiOkResponse({ type: WorkflowResponse })
  @ApiErrors('not_found', 'invalid')
  async assignAgent(@Id() id: string, @Body() dto: AssignWorkflowAgentDto): Promise<WorkflowResponse> {
    return WorkflowResponse.from(await this.agents.assign(id, dto));
  }

  @Delete(':id/agents/:agent_id')
  @Access(Role.Operator)
  @ApiOperation({ operationId: 'remove_workflow_agent', summary: 'Take an agent off a workflow; absent is fine' })
  @ApiOkResponse({ type: WorkflowResponse })
  @ApiErrors('not_found', 'invalid')
  async removeAgent(@Id() id: string, @Id('agent_id') agent_id: string): Promise<WorkflowResponse> {
    return WorkflowResponse.from(await this.agents.remove(id, agent_id));
  }

  @Post(':id/execute')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.ACCEPTED)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'execute_workflow', summary: 'Start a run, now or later' })
  @ApiAcceptedResponse({ type: ExecutedResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async execute(@Id() id: string, @Body() dto: ExecuteWorkflowDto): Promise<ExecutedResponse> {
    const { run, workflow } = await this.runs.execute(id, dto);
    return { run: RunResponse.from(run), workflow: WorkflowResponse.from(workflow) };
  }

  @Get(':id/tasks')
  @Access(Role.Viewer)
  @Listed(TaskResponse)
  @ApiOperation({ operationId: 'list_workflow_tasks', summary: "A workflow's tasks" })
  @ApiErrors('not_found', 'invalid')
  async listTasks(@Id() id: string, @Query() query: ListTasksQuery): Promise<Page<JsonText>> {
    await this.workflows.get(id);
    return this.tasks.list(Object.assign(query, { workflow_id: id }));
  }

  @Get(':id/runs')
  @Access(Role.Viewer)
  @Listed(RunResponse)
  @ApiOperation({ operationId: 'list_workflow_runs', summary: "A workflow's runs, newest first" })
  @ApiErrors('not_found', 'invalid')
  async listRuns(@Id() id: string, @Query() query: ListRunsQuery): Promise<Page<RunResponse>> {
    return mapPage(await this.runs.list(id, query), RunResponse.from);
  }

  @Post(':id/validate')
  @Access(Role.Viewer)
  @AuditRefusalsOnly('it changes nothing')
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ operationId: 'validate_workflow', summary: 'Check a definition without saving it' })
  @ApiOkResponse({ type: ValidationResponse })
  @ApiErrors('not_found', 'invalid')
  validate(@Id() id: string, @Body() dto: ValidateWorkflowDto): Promise<ValidationResponse> {
    return this.workflows.validate(id, dto);
  }

  @Get(':id/graph')
  @Access(Role.Viewer)
  @ApiOperation({ operationId: 'get_workflow_graph', summary: 'The steps, how far they are, and what depends on what' })
  @ApiOkResponse({ type: GraphResponse })
  @ApiErrors('not_found', 'invalid')
  graph(@Id() id: string, @Query() { run_id }: GraphQuery): Promise<GraphResponse> {
    return this.runs.graph(id, run_id);
  }
}
