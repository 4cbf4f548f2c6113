import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { RealtimeGateway } from '../platform/sockets/realtime-gateway.decorator.js';
import { Rooms, roomsOf } from '../platform/sockets/rooms.js';

/** Tells those who watch an agent, or its project, what happens to it. Commands go over HTTP. */
@RealtimeGateway()
export class AgentsGateway {
  constructor(private readonly rooms: Rooms) {}

  @Live('agent_*')
  onAgentEvent(event: LoggedEvent): void {
    this.rooms.tell(roomsOf(event, 'agents'), event.type, event);
  }
}
