import { Injectable } from '@nestjs/common';
import { NotAllowed } from '../platform/access/access.errors.js';
import { owns, projectScope } from '../platform/access/scope.js';
import { changesSince, snapshot } from '../platform/context/request-trace.js';
import { Database } from '../platform/database/database.js';
import { Filters } from '../platform/database/filters.js';
import { listRows, type Sort } from '../platform/database/list-rows.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { UnknownReference } from '../platform/errors/common.errors.js';
import type { Page } from '../platform/http/page.js';
import type { CreateProjectDto } from './dto/create-project.dto.js';
import { type ListProjectsQuery, ProjectSort } from './dto/list-projects.query.js';
import type { UpdateProjectDto } from './dto/update-project.dto.js';
import { Project } from './project.entity.js';
import { ProjectNotFound } from './projects.errors.js';
import { ProjectCreated, ProjectDeleted, ProjectUpdated } from './projects.events.js';

const SORTS: Record<ProjectSort, Sort> = {
  name: { expression: 'p.name', type: 'text' },
  status: { expression: 'p.status', type: 'text' },
  created_at: { expression: 'p.created_at', type: 'timestamptz' },
  updated_at: { expression: 'p.updated_at', type: 'timestamptz' },
};

@Injectable()
export class ProjectsService {
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
  ) {}

  list(query: ListProjectsQuery): Promise<Page<Project>> {
    const filters = new Filters()
      .add('p.status = ?', query.status)
      .add('p.id = ?', projectScope() ?? undefined)
      .addSearch('p.name', query.search);
    const sort_by = query.sort_by ?? ProjectSort.CreatedAt;
    return listRows<Project & Record<string, unknown>>(this.database, {
      from: 'projects p',
      alias: 'p',
      columns: 'p.*',
      filters,
      sorts: SORTS,
      sort_by,
      query,
    });
  }

  async get(id: string): Promise<Project> {
    assertOwn(id);
    const project = await this.database.manager.findOneBy(Project, { id });
    if (!project) throw new ProjectNotFound(id);
    return project;
  }

  /** For those who refer to a project by `project_id`: throws UnknownReference when there is none. */
  async assertExists(id: string | null | undefined): Promise<void> {
    if (!id) return;
    if (!owns({ project_id: id }) || !(await this.database.manager.existsBy(Project, { id })))
      throw new UnknownReference('project_id', id, 'project');
  }

  async create(dto: CreateProjectDto): Promise<Project> {
    if (projectScope() !== null) throw new NotAllowed('A credential of one project makes no others');
    return this.unitOfWork.run(async (tx) => {
      const project = await tx.manager.save(Object.assign(new Project(), dto));
      tx.record(new ProjectCreated(project.id, project.name, project.status));
      return project;
    });
  }

  update(id: string, dto: UpdateProjectDto): Promise<Project> {
    if (Object.keys(dto).length === 0) return this.get(id);
    return this.unitOfWork.run(async (tx) => {
      const project = await this.lock(tx, id);
      const before = snapshot(project);
      Object.assign(project, dto);
      project.touch();
      await tx.manager.save(project);
      tx.record(new ProjectUpdated(id, Object.fromEntries(Object.entries(dto))));
      tx.changed('project', id, changesSince(before, project, ['name', 'description', 'status', 'metadata']));
      return project;
    });
  }

  delete(id: string): Promise<void> {
    return this.unitOfWork.run(async (tx) => {
      const project = await this.lock(tx, id);
      await tx.announce(new ProjectDeleted(id, project.name));
      await tx.manager.delete(Project, { id });
    });
  }

  private async lock(tx: Transaction, id: string): Promise<Project> {
    assertOwn(id);
    const project = await tx.manager.findOne(Project, { where: { id }, lock: { mode: 'pessimistic_write' } });
    if (!project) throw new ProjectNotFound(id);
    return project;
  }
}

/** To those who are bound to a project there is no other; so it is not even looked for. */
function assertOwn(id: string): void {
  if (!owns({ project_id: id })) throw new ProjectNotFound(id);
}
