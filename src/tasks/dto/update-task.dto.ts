import { OmitType, PartialType } from '@nestjs/swagger';
import { CreateTaskDto } from './create-task.dto.js';

/** A task stays where it was created: neither its workflow nor its dependencies are changed here. */
export class UpdateTaskDto extends PartialType(OmitType(CreateTaskDto, ['workflow_id', 'dependencies', 'created_by']), {
  skipNullProperties: false,
}) {}
