import { ApiProperty, getSchemaPath } from '@nestjs/swagger';
import { encodePosition } from '../../platform/events/position.js';
import {
  ShownFlag,
  ShownId,
  ShownJson,
  ShownNumber,
  ShownText,
  ShownTime,
  ShownWhole,
} from '../../platform/http/response-fields.js';
import type { AuditRecord, HandledRequest, OtherChange } from '../audit.events.js';

/** A field's two values. What is secret or large is `{"$cut": "secret"}` or `{"$cut": "size", "bytes": 9000}`. */
export class ChangeResponse {
  @ShownJson()
  before: unknown;

  @ShownJson()
  after: unknown;
}

const ShownChanges = (description: string): PropertyDecorator =>
  ApiProperty({ type: 'object', additionalProperties: { $ref: getSchemaPath(ChangeResponse) }, description });

export class OtherChangeResponse {
  @ShownText({ example: 'task' })
  kind: string;

  @ShownId()
  id: string;

  @ShownChanges('Per field')
  changes: Record<string, ChangeResponse>;
}

export class AuditRecordResponse {
  @ShownId()
  id: string;

  @ShownText({ description: 'user, agent, ...', example: 'user' })
  actor_type: string;

  @ShownText({ nullable: true })
  actor_id: string | null;

  @ShownText({ nullable: true, description: 'Of the credential; null without one' })
  role: string | null;

  @ShownText({ nullable: true, description: 'The part of an API key that may be shown' })
  key_prefix: string | null;

  @ShownText({ example: 'PATCH' })
  method: string;

  @ShownText({ nullable: true, example: '/api/v1/tasks/:id', description: 'null: there is none at this path' })
  route: string | null;

  @ShownText({ nullable: true, description: 'What was asked for, where there is no route' })
  path: string | null;

  @ShownWhole()
  status: number;

  @ShownText({ nullable: true, description: 'Of the problem, if it was refused', example: 'task_not_found' })
  code: string | null;

  @ShownNumber()
  duration_ms: number;

  @ShownText({ nullable: true })
  request_id: string | null;

  @ShownText({ nullable: true, description: 'The address that it came from' })
  ip: string | null;

  @ShownFlag({ description: 'A retry that got the first answer again, and changed nothing' })
  is_replay: boolean;

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'The ids of the path, and those that all of its events share',
    example: { task_id: '01890000-0000-7000-8000-000000000000' },
  })
  subjects: Record<string, string>;

  @ShownChanges('The fields of what the path names that differ, with their values before and after')
  changes: Record<string, ChangeResponse>;

  @ApiProperty({ type: [OtherChangeResponse], description: 'Whatever else the request changed' })
  other_changes: readonly OtherChange[];

  @ShownWhole({ description: 'Changes of so many more things were cut out' })
  changes_left_out: number;

  @ShownText({ description: 'Where in the log it is' })
  position: string;

  @ShownTime({ description: 'When it was answered, by the clock of the node' })
  handled_at: string;

  @ShownTime({ description: 'When it was written, by the clock of the database' })
  created_at: Date;

  static from(record: AuditRecord): AuditRecordResponse {
    const { id, actor_type, actor_id, data, metadata, created_at } = record;
    return {
      id,
      actor_type,
      actor_id,
      ...shown(data),
      request_id: metadata.request_id,
      ip: metadata.ip,
      position: encodePosition(record),
      created_at,
    };
  }
}

function shown(request: HandledRequest) {
  const {
    method,
    route = null,
    path = null,
    status,
    code = null,
    duration_ms,
    role = null,
    key_prefix = null,
  } = request;
  const { is_replay = false, handled_at, subjects, changes = {}, other_changes = [], changes_left_out = 0 } = request;
  const who = { role, key_prefix };
  const facts = { method, route, path, status, code, duration_ms, is_replay, handled_at };
  return { ...who, ...facts, subjects, changes, other_changes, changes_left_out };
}
