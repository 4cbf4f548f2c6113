import { OmitType, PartialType } from '@nestjs/swagger';
import { IdsField } from '../../platform/http/fields.js';
import { CreateTaskDto } from './create-task.dto.js';

/** A task stays where it was created: neither its workflow nor its dependencies are changed here. */
export class UpdateTaskDto extends PartialType(OmitType(CreateTaskDto, ['workflow_id', 'dependencies', 'created_by']), {
  skipNullProperties: false,
}) {
  @IdsField({
    is: 'optional',
    description: 'Only those that it has: POST and DELETE /tasks/{id}/dependencies change them',
  })
  dependencies?: string[];
}
