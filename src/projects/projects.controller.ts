import { Body, Controller, Delete, Get, HttpCode, HttpStatus, Post, Put, Query, VERSION_NEUTRAL } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Access } from '../platform/access/access.decorator.js';
import { Role } from '../platform/access/principal.js';
import { Cached } from '../platform/caching/cached.decorator.js';
import { ApiErrors, ApiIdempotent, Listed } from '../platform/http/api.decorators.js';
import { Created } from '../platform/http/created.interceptor.js';
import { Id } from '../platform/http/id.decorator.js';
import { mapPage, type Page } from '../platform/http/page.js';
import { CreateProjectDto } from './dto/create-project.dto.js';
import { ListProjectsQuery } from './dto/list-projects.query.js';
import { ProjectResponse } from './dto/project.response.js';
import { UpdateProjectDto } from './dto/update-project.dto.js';
import { ProjectsService } from './projects.service.js';

@ApiTags('projects')
@Controller({ path: 'projects', version: ['1', '2', VERSION_NEUTRAL] })
export class ProjectsController {
  constructor(private readonly projects: ProjectsService) {}

  @Get()
  @Access(Role.Viewer)
  @Cached({ until: ['project_*'] })
  @Listed(ProjectResponse)
  @ApiOperation({ operationId: 'list_projects', summary: 'List projects, newest first' })
  async list(@Query() query: ListProjectsQuery): Promise<Page<ProjectResponse>> {
    return mapPage(await this.projects.list(query), ProjectResponse.from);
  }

  @Post()
  @Access(Role.Operator)
  @Created()
  @ApiIdempotent()
  @ApiOperation({ operationId: 'create_project', summary: 'Create a project' })
  @ApiCreatedResponse({ type: ProjectResponse })
  @ApiErrors('invalid', 'conflict')
  async create(@Body() dto: CreateProjectDto): Promise<ProjectResponse> {
    return ProjectResponse.from(await this.projects.create(dto));
  }

  @Get(':id')
  @Access(Role.Viewer)
  @ApiOperation({ operationId: 'get_project', summary: 'Get one project' })
  @ApiOkResponse({ type: ProjectResponse })
  @ApiErrors('not_found', 'invalid')
  async get(@Id() id: string): Promise<ProjectResponse> {
    return ProjectResponse.from(await this.projects.get(id));
  }

  @Put(':id')
  @Access(Role.Operator)
  @ApiOperation({ operationId: 'update_project', summary: 'Change the given fields of a project' })
  @ApiOkResponse({ type: ProjectResponse })
  @ApiErrors('not_found', 'invalid')
  async update(@Id() id: string, @Body() dto: UpdateProjectDto): Promise<ProjectResponse> {
    return ProjectResponse.from(await this.projects.update(id, dto));
  }

  @Delete(':id')
  @Access(Role.Admin)
  @HttpCode(HttpStatus.NO_CONTENT)
  @ApiOperation({
    operationId: 'delete_project',
    summary: 'Delete a project and what belongs to it, unless its tasks are in progress; its events stay',
  })
  @ApiNoContentResponse()
  @ApiErrors('not_found', 'invalid', 'conflict')
  delete(@Id() id: string): Promise<void> {
    return this.projects.delete(id);
  }
}
