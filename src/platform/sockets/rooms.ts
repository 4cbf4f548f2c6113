import { Injectable } from '@nestjs/common';
import type { Server } from 'socket.io';
import { type LoggedEvent } from '../events/logged-event.js';
import { encodePosition } from '../events/position.js';

/** What a socket gets: an event under its name, in the shape of `contract/realtime.md`. */
export interface RoomMessage {
  name: string;
  payload: Record<string, unknown>;
  rooms: readonly string[];
}

/** Sockets that are being caught up do not get live messages directly; see {@link RoomReplay}. */
export const CATCHING_UP = '~catching_up';

/** What no socket of one project may hear. */
export const NO_PROJECT = Symbol('no project');

export interface Telling {
  /** What sockets that are bound to one project hear in its place. */
  data_of_projects?: Record<string, unknown>;
  /** Which of them hear it: those of a project, or of every one (null). By default those of the event's. */
  audience?: string | null | typeof NO_PROJECT;
}

/**
 * Each room is one for sockets that hear of all projects, and others for those that are bound to one: of what belongs to
 * it, and of what belongs to none. Which of them hear an event is decided by the event: also of what was moved to another
 * project, and of what a socket only guesses, it hears nothing. No client can name such a room.
 */
const ofProject = (room: string, project_id: string | null): string => `${room}@${project_id ?? ''}`;

/** The rooms that a socket is in when it has joined one; `scope` is the project that it is bound to. */
export const heardIn = (room: string, scope: string | null): [string, ...string[]] =>
  scope === null ? [room] : [ofProject(room, scope), ofProject(room, null)];

/** Speaks to rooms. A socket gets a message once, however many of the rooms it is in. */
@Injectable()
export class Rooms {
  private readonly resolvers = new Map<string, (name: string) => Promise<string>>();
  private server: Server | null = null;
  private collected: RoomMessage[] | null = null;

  /** The subjects of one kind may be called by other names than their ids. */
  resolve(kind: string, idOf: (name: string) => Promise<string>): void {
    this.resolvers.set(kind, idOf);
  }

  /** The room that is meant: that of the subject's id. */
  async named(name: string): Promise<string> {
    const [, kind, subject] = /^(\w+):(.+)$/.exec(name) ?? [];
    if (!kind || !subject) return name;
    const idOf = this.resolvers.get(kind);
    return `${kind}:${idOf ? await idOf(subject) : subject.toLowerCase()}`;
  }

  attach(server: Server): void {
    this.server = server;
  }

  get isAttached(): boolean {
    return this.server !== null;
  }

  get socketCount(): number {
    return this.server?.sockets.sockets.size ?? 0;
  }

  /** Whether any socket hears of events in this room, of whatever project. */
  isHeard(room: string): boolean {
    return this.server !== null && this.hasMembers([room, ofProject(room, null)]);
  }

  tell(
    rooms: readonly string[],
    name: string,
    event: LoggedEvent,
    data: Record<string, unknown> = event.data,
    { data_of_projects = data, audience = event.project_id }: Telling = {},
  ): void {
    if (!this.collected && this.socketCount === 0) return;
    const ofProjects = audience === NO_PROJECT ? [] : rooms.map((room) => ofProject(room, audience));
    if (data === data_of_projects) return this.send([...rooms, ...ofProjects], name, event, data);
    this.send(rooms, name, event, data);
    this.send(ofProjects, name, event, data_of_projects);
  }

  private send(rooms: readonly string[], name: string, event: LoggedEvent, data: Record<string, unknown>): void {
    if (this.collected) {
      this.collected.push({ name, payload: payloadOf(event, name, data), rooms });
    } else if (this.server && this.hasMembers(rooms)) {
      this.server
        .to([...rooms])
        .except(CATCHING_UP)
        .emit(name, payloadOf(event, name, data));
    }
  }

  /** Socket.IO would write the message before it finds that nobody gets it. */
  private hasMembers(rooms: readonly string[]): boolean {
    const known = this.server!.sockets.adapter.rooms;
    return rooms.some((room) => known.has(room));
  }

  /** What the work would tell, without telling it. */
  collect(work: () => void): RoomMessage[] {
    const collected: RoomMessage[] = [];
    this.collected = collected;
    try {
      work();
    } finally {
      this.collected = null;
    }
    return collected;
  }
}

/** The rooms of everything that an event is about, besides those of its topics. */
export function roomsOf(event: LoggedEvent, ...topics: string[]): string[] {
  const rooms = [...topics, 'dashboard'];
  for (const subject of ['agent', 'task', 'workflow', 'run', 'project'] as const) {
    const id = event[`${subject}_id`];
    if (id) rooms.push(`${subject}:${id}`);
  }
  return rooms;
}

function payloadOf(event: LoggedEvent, type: string, data: Record<string, unknown>): Record<string, unknown> {
  const { project_id, agent_id, task_id, workflow_id, run_id, created_at } = event;
  return {
    type,
    data,
    position: encodePosition(event),
    timestamp: created_at,
    project_id,
    agent_id,
    task_id,
    workflow_id,
    run_id,
  };
}
