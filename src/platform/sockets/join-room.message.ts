import { IsString, Length, Matches } from 'class-validator';
import { Optional } from '../http/optional.decorator.js';

const ROOM = /^((agents|tasks|workflows|projects|system|dashboard)|(agent|task|workflow|run|project):[0-9a-f-]{36})$/;

export class RoomMessageDto {
  @IsString()
  @Matches(ROOM, {
    message:
      'room must be agents, tasks, workflows, projects, system, dashboard, or agent:, task:, workflow:, run:, project: and an id',
  })
  room: string;
}

export class JoinRoomMessage extends RoomMessageDto {
  /** A position that an event or an earlier join carried: what came after it is sent first. */
  @Optional()
  @IsString()
  @Length(1, 200)
  since?: string;
}
