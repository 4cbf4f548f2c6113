import type { OnModuleInit } from '@nestjs/common';
import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { RealtimeGateway } from '../platform/sockets/realtime-gateway.decorator.js';
import { Rooms, roomsOf } from '../platform/sockets/rooms.js';
import { AgentsService } from './agents.service.js';

/** Tells those who watch an agent, or its project, what happens to it. Commands go over HTTP. */
@RealtimeGateway()
export class AgentsGateway implements OnModuleInit {
  constructor(
    private readonly rooms: Rooms,
    private readonly agents: AgentsService,
  ) {}

  /** An agent's key stands for its id, as everywhere. */
  onModuleInit(): void {
    this.rooms.resolve('agent', (ref) => this.agents.resolveId(ref));
  }

  @Live('agent_*')
  onAgentEvent(event: LoggedEvent): void {
    // What an agent of all projects works on may be a task of any of them.
    const isOfAll = event.project_id === null && event.data.current_task;
    const data_of_projects = isOfAll ? { ...event.data, current_task: null } : undefined;
    this.rooms.tell(roomsOf(event, 'agents'), event.type, event, event.data, { data_of_projects });
  }
}
