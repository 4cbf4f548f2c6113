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
import { EventResponse } from '../platform/events/event.response.js';
import { ApiErrors, ApiIdempotent, Listed } from '../platform/http/api.decorators.js';
import { AuditedWithin } from '../platform/http/audited.decorator.js';
import { Created } from '../platform/http/created.interceptor.js';
import { Id } from '../platform/http/id.decorator.js';
import type { JsonText } from '../platform/http/json-text.js';
import { mapPage, type Page, PageQuery } from '../platform/http/page.js';
import {
  AddDependencyDto,
  AssignTaskDto,
  BulkUpdateTasksDto,
  UpdateTaskProgressDto,
  UpdateTaskStatusDto,
} from './dto/change-task.dto.js';
import { CreateTaskDto } from './dto/create-task.dto.js';
import { ListTasksQuery } from './dto/list-tasks.query.js';
import { BulkUpdatedResponse, TaskResponse, TaskSummaryResponse } from './dto/task.response.js';
import { UpdateTaskDto } from './dto/update-task.dto.js';
import { TaskEditor } from './task-editor.js';
import { TasksService } from './tasks.service.js';

/** Runs hold and free their tasks, a task shows its agent's name, and what goes takes its tasks along. */
const CHANGES_OF_TASKS = [
  'task*',
  'run_*',
  'workflow_*',
  'agent_created',
  'agent_updated',
  'agent_deleted',
  'project_deleted',
];

@ApiTags('tasks')
@Controller({ path: 'tasks', version: ['1', '2', VERSION_NEUTRAL] })
export class TasksController {
  constructor(
    private readonly tasks: TasksService,
    private readonly editor: TaskEditor,
  ) {}

  @Get()
  @Access(Role.Viewer)
  @Cached({ until: CHANGES_OF_TASKS })
  @Listed(TaskResponse)
  @ApiOperation({ operationId: 'list_tasks', summary: 'List tasks, newest first' })
  list(@Query() query: ListTasksQuery): Promise<Page<JsonText>> {
    return this.tasks.list(query);
  }

  @Post()
  @Access(Role.Operator)
  @AuditedWithin(HttpStatus.CREATED)
  @Created()
  @ApiIdempotent()
  @ApiOperation({ operationId: 'create_task', summary: 'Create a task' })
  @ApiCreatedResponse({ type: TaskResponse })
  @ApiErrors('invalid', 'conflict')
  create(@Body() dto: CreateTaskDto): Promise<JsonText> {
    return this.tasks.create(dto);
  }

  @Get('stats/summary')
  @Access(Role.Viewer)
  @Cached({ until: CHANGES_OF_TASKS })
  @ApiOperation({ operationId: 'summarise_tasks', summary: 'How many tasks there are and how far they are' })
  @ApiOkResponse({ type: TaskSummaryResponse })
  @ApiErrors()
  summarise(): Promise<TaskSummaryResponse> {
    return this.tasks.summarise();
  }

  @Patch('bulk')
  @Access(Role.Operator)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'update_tasks', summary: 'Change up to 1000 tasks, all or none' })
  @ApiOkResponse({ type: BulkUpdatedResponse })
  @ApiErrors('invalid', 'conflict')
  async updateMany(@Body() { task_ids, updates }: BulkUpdateTasksDto): Promise<BulkUpdatedResponse> {
    const rows = await this.editor.updateMany(task_ids, updates, (tx, task, to) => this.tasks.moveByHand(tx, task, to));
    return { updated: rows.length, tasks: rows.map((row) => TaskResponse.from(row)) };
  }

  @Get(':id')
  @Access(Role.Viewer, Role.Agent)
  @ApiOperation({ operationId: 'get_task', summary: 'Get one task' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid')
  get(@Id() id: string): Promise<JsonText> {
    return this.tasks.get(id);
  }

  @Put(':id')
  @Access(Role.Operator)
  @ApiOperation({ operationId: 'update_task', summary: 'Change the given fields of a task' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async update(@Id() id: string, @Body() dto: UpdateTaskDto): Promise<TaskResponse> {
    return TaskResponse.from(await this.editor.update(id, dto));
  }

  @Delete(':id')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({ operationId: 'delete_task', summary: 'Delete a task that is not in progress' })
  @ApiNoContentResponse()
  @ApiErrors('not_found', 'invalid', 'conflict')
  delete(@Id() id: string): Promise<void> {
    return this.tasks.delete(id);
  }

  @Patch(':id/status')
  @Access(Role.Operator)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'update_task_status', summary: 'Move a task by hand' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async setStatus(@Id() id: string, @Body() dto: UpdateTaskStatusDto): Promise<TaskResponse> {
    return TaskResponse.from(await this.tasks.setStatus(id, dto));
  }

  @Patch(':id/progress')
  @Access(Role.Operator)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'update_task_progress', summary: 'Say how far a task is' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async setProgress(@Id() id: string, @Body() dto: UpdateTaskProgressDto): Promise<TaskResponse> {
    return TaskResponse.from(await this.tasks.setProgress(id, dto));
  }

  @Patch(':id/assign')
  @Access(Role.Operator)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'assign_task', summary: 'Give a task to one agent, or to anyone' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async assign(@Id() id: string, @Body() dto: AssignTaskDto): Promise<TaskResponse> {
    return TaskResponse.from(await this.editor.assign(id, dto));
  }

  @Post(':id/dependencies')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.OK)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'add_task_dependency', summary: 'Let a task wait for another' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async addDependency(@Id() id: string, @Body() { dependency_id }: AddDependencyDto): Promise<TaskResponse> {
    return TaskResponse.from(await this.tasks.addDependency(id, dependency_id));
  }

  @Delete(':id/dependencies/:dependency_id')
  @Access(Role.Operator)
  @ApiOperation({ operationId: 'remove_task_dependency', summary: 'Let a task wait no longer; absent is fine' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid')
  async removeDependency(@Id() id: string, @Id('dependency_id') dependency_id: string): Promise<TaskResponse> {
    return TaskResponse.from(await this.tasks.removeDependency(id, dependency_id));
  }

  @Post(':id/cancel')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.OK)
  @ApiIdempotent()
  @ApiOperation({
    operationId: 'cancel_task',
    summary: 'Stop a task: at once, or while an agent has it by asking the agent',
  })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async cancel(@Id() id: string): Promise<TaskResponse> {
    return TaskResponse.from(await this.tasks.cancel(id));
  }

  @Post(':id/retry')
  @Access(Role.Operator)
  @HttpCode(HttpStatus.OK)
  @ApiIdempotent()
  @ApiOperation({ operationId: 'retry_task', summary: 'Begin a failed or cancelled task anew' })
  @ApiOkResponse({ type: TaskResponse })
  @ApiErrors('not_found', 'invalid', 'conflict')
  async retry(@Id() id: string): Promise<TaskResponse> {
    return TaskResponse.from(await this.tasks.retry(id));
  }

  @Get(':id/events')
  @Access(Role.Viewer)
  @Listed(EventResponse)
  @ApiOperation({ operationId: 'list_task_events', summary: "A task's history, newest first" })
  @ApiErrors('not_found', 'invalid')
  async events(@Id() id: string, @Query() query: PageQuery): Promise<Page<EventResponse>> {
    return mapPage(await this.tasks.events(id, query), EventResponse.from);
  }
}
