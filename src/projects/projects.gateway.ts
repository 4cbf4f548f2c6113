import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { RealtimeGateway } from '../platform/sockets/realtime-gateway.decorator.js';
import { Rooms, roomsOf } from '../platform/sockets/rooms.js';

/** Tells those who watch a project what happens to it. */
@RealtimeGateway()
export class ProjectsGateway {
  constructor(private readonly rooms: Rooms) {}

  @Live('project_*')
  onProjectEvent(event: LoggedEvent): void {
    this.rooms.tell(roomsOf(event, 'projects'), event.type, event);
  }
}
