import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { RealtimeGateway } from '../platform/sockets/realtime-gateway.decorator.js';
import { Rooms, roomsOf } from '../platform/sockets/rooms.js';

/** Tells those who watch a workflow or a run what happens to it. Commands go over HTTP. */
@RealtimeGateway()
export class WorkflowsGateway {
  constructor(private readonly rooms: Rooms) {}

  @Live('workflow_*')
  onWorkflowEvent(event: LoggedEvent): void {
    const rooms = roomsOf(event, 'workflows');
    this.rooms.tell(rooms, event.type, event);
    const { workflow_id, old_status, new_status, progress } = event.data;
    if (old_status && old_status !== new_status) {
      this.rooms.tell(rooms, 'workflow_status_updated', event, { workflow_id, old_status, new_status, progress });
    }
  }

  @Live('run_*')
  onRunEvent(event: LoggedEvent): void {
    this.rooms.tell(roomsOf(event, 'workflows'), event.type, event);
  }
}
