import { DomainError } from '../platform/errors/domain-error.js';

export class ProjectNotFound extends DomainError {
  readonly kind = 'not_found';
  readonly code = 'project_not_found';

  constructor(project_id: string) {
    super(`No project has the id ${project_id}`, { project_id });
  }
}
