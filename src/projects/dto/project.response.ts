import { ApiProperty } from '@nestjs/swagger';
import { ShownId, ShownObject, ShownText, ShownTime } from '../../platform/http/response-fields.js';
import type { Project } from '../project.entity.js';
import { ProjectStatus } from '../project-status.js';

export class ProjectResponse {
  @ShownId()
  id: string;

  @ShownText()
  name: string;

  @ShownText({ nullable: true })
  description: string | null;

  @ApiProperty({ enum: ProjectStatus, enumName: 'ProjectStatus' })
  status: ProjectStatus;

  @ShownObject()
  metadata: Record<string, unknown>;

  @ShownTime()
  created_at: Date;

  @ShownTime()
  updated_at: Date;

  static from({ id, name, description, status, metadata, created_at, updated_at }: Project): ProjectResponse {
    return { id, name, description, status, metadata, created_at, updated_at };
  }
}
