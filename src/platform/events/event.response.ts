import { ApiProperty } from '@nestjs/swagger';
import { ShownId, ShownObject, ShownText, ShownTime } from '../http/response-fields.js';
import type { LoggedEvent } from './logged-event.js';
import { encodePosition } from './position.js';

export class EventResponse {
  @ShownId()
  id: string;

  @ShownText({ example: 'task_completed' })
  type: string;

  @ApiProperty({ enum: ['agent', 'user', 'system', 'webhook', 'scheduler'], enumName: 'EventSource' })
  source: string;

  @ApiProperty({ enum: ['info', 'warning', 'error', 'critical'], enumName: 'EventSeverity' })
  severity: string;

  @ShownText()
  actor_type: string;

  @ShownText({ nullable: true })
  actor_id: string | null;

  @ShownId({ nullable: true })
  project_id: string | null;

  @ShownId({ nullable: true })
  agent_id: string | null;

  @ShownId({ nullable: true })
  task_id: string | null;

  @ShownId({ nullable: true })
  workflow_id: string | null;

  @ShownId({ nullable: true })
  run_id: string | null;

  @ShownObject()
  data: Record<string, unknown>;

  @ShownObject({ description: 'request_id, endpoint and ip of what caused it' })
  metadata: Record<string, unknown>;

  @ShownText({ description: 'Where in the log it is; sockets resume from it' })
  position: string;

  @ShownTime()
  created_at: Date;

  static from(event: LoggedEvent): EventResponse {
    const { id, type, source, severity, actor_type, actor_id, project_id, agent_id, task_id, workflow_id } = event;
    const { run_id, data, metadata, created_at } = event;
    return {
      id,
      type,
      source,
      severity,
      actor_type,
      actor_id,
      project_id,
      agent_id,
      task_id,
      workflow_id,
      run_id,
      data,
      metadata,
      position: encodePosition(event),
      created_at,
    };
  }
}
