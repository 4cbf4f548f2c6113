import { isUUID } from 'class-validator';
import { EventTail } from '../platform/events/event-tail.js';
import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { RealtimeGateway } from '../platform/sockets/realtime-gateway.decorator.js';
import { NO_PROJECT, Rooms } from '../platform/sockets/rooms.js';
import { AuditRecordsLost, type HandledRequest, RequestHandled } from './audit.events.js';

/** Those who watch the system, and not the dashboards: a record names what its reader may not be allowed to see. */
const ROOM = 'system';

/** Tells in short how requests ended. Addresses and values before and after are only in the list. */
@RealtimeGateway()
export class AuditGateway {
  constructor(
    private readonly rooms: Rooms,
    tail: EventTail,
  ) {
    tail.tellOnDemand(RequestHandled.type, () => rooms.isHeard(ROOM));
  }

  @Live(RequestHandled.type)
  onRequestHandled(event: LoggedEvent): void {
    const {
      method,
      route = null,
      status,
      code = null,
      duration_ms,
      subjects,
    } = event.data as unknown as HandledRequest;
    const { actor_type, actor_id, metadata } = event;
    const who = { actor_type, actor_id, request_id: metadata.request_id };
    const data = { method, route, status, code, duration_ms, subjects, ...who };
    // Only who hears of all projects hears of a request that is not known to be about one; a path may hold anything.
    const { project_id } = subjects;
    const audience = isUUID(project_id) ? project_id : NO_PROJECT;
    this.rooms.tell([ROOM], event.type, event, data, { audience });
  }

  @Live(AuditRecordsLost.type)
  onRecordsLost(event: LoggedEvent): void {
    this.rooms.tell([ROOM], event.type, event, event.data, { audience: NO_PROJECT });
  }
}
