import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { RealtimeGateway } from '../platform/sockets/realtime-gateway.decorator.js';
import { Rooms, roomsOf } from '../platform/sockets/rooms.js';

/** Tells those who watch a task, its agent, workflow or project what happens to it. Commands go over HTTP. */
@RealtimeGateway()
export class TasksGateway {
  constructor(private readonly rooms: Rooms) {}

  @Live('task_*')
  onTaskEvent(event: LoggedEvent): void {
    const rooms = roomsOf(event, 'tasks');
    this.rooms.tell(rooms, event.type, event);
    const { task_id, old_status, new_status, progress } = event.data;
    if (old_status && old_status !== new_status) {
      this.rooms.tell(rooms, 'task_status_updated', event, { task_id, old_status, new_status, progress });
    }
  }

  @Live('tasks_bulk_updated')
  onBulkUpdate(event: LoggedEvent): void {
    this.rooms.tell(roomsOf(event, 'tasks'), event.type, event);
  }
}
