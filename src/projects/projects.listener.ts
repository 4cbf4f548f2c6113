import { Injectable } from '@nestjs/common';
import { ApiKeyCreated } from '../auth/auth.events.js';
import { Within } from '../platform/events/handlers.js';
import { ProjectsService } from './projects.service.js';

/** What projects say to what others do. */
@Injectable()
export class ProjectsListener {
  constructor(private readonly projects: ProjectsService) {}

  @Within([ApiKeyCreated])
  assertKeyOfProject({ project_id }: ApiKeyCreated): Promise<void> {
    return this.projects.assertExists(project_id);
  }
}
