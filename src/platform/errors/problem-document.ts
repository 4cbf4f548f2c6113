import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';

export class ProblemField {
  @ApiProperty({ description: 'JSON pointer into the body, or the name of a query parameter', example: '/title' })
  pointer: string;

  @ApiProperty({ example: 'must be longer than or equal to 1 characters' })
  detail: string;
}

/** The answer to every request that failed: RFC 9457, with `detail` and `error` for the older clients. */
export class ProblemDocument {
  @ApiProperty({ example: 'urn:flightdeck:problem:task_not_found' })
  type: string;

  @ApiProperty({ example: 'Not Found' })
  title: string;

  @ApiProperty({ example: 404 })
  status: number;

  @ApiProperty({ description: 'Stable name of the failure, listed in docs/errors.md', example: 'task_not_found' })
  code: string;

  @ApiProperty({ description: 'A sentence for people', example: 'No task has the id 0197c2d0-…' })
  detail: string;

  @ApiProperty({ description: 'The path that was asked for' })
  instance: string;

  @ApiProperty({ nullable: true, type: String })
  request_id: string | null;

  @ApiProperty({ description: 'The same as detail, for older clients' })
  error: string;

  @ApiPropertyOptional({ type: [ProblemField], description: 'The fields that are wrong' })
  errors?: readonly ProblemField[];
}
