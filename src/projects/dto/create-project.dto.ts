import { ChoiceField, NameField, ObjectField, TextField } from '../../platform/http/fields.js';
import { ProjectStatus } from '../project-status.js';

export class CreateProjectDto {
  @NameField({ max: 255, example: 'Release 2' })
  name: string;

  @TextField({ is: 'nullable' })
  description?: string | null;

  @ChoiceField(ProjectStatus, 'ProjectStatus', { is: 'optional', default: ProjectStatus.Active })
  status?: ProjectStatus;

  @ObjectField({ is: 'optional' })
  metadata?: Record<string, unknown>;
}
