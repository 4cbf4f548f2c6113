import { IsString, Length, Matches } from 'class-validator';
import { Optional } from '../http/optional.decorator.js';

const UUID = '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}';
const KEY = '[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}';
const ROOM = new RegExp(
  `^((agents|tasks|workflows|projects|system|dashboard)|(task|workflow|run|project):${UUID}|agent:${KEY})$`,
);

export class RoomMessageDto {
  /** A topic, or a subject with its id; an agent's key stands for its id. */
  @IsString()
  @Matches(ROOM, {
    message:
      "room must be agents, tasks, workflows, projects, system, dashboard, or task:, workflow:, run:, project: and an id, or agent: and an agent's id or key",
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
