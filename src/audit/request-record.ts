import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestContext } from '../platform/context/request-context.js';
import type { Changes, RequestTrace } from '../platform/context/request-trace.js';
import { problemCodeOf } from '../platform/http/problem.filter.js';
import { pathOf } from '../platform/http/version.js';
import type { HandledRequest, OtherChange } from './audit.events.js';
import { safeText, safeValue } from './without-secrets.js';

const MOST_PATH = 256;
/** An id or a key fits. */
const MOST_ID = 128;
/** All changes of one record: a bulk change of a thousand tasks fits, not a thousand times eight kibibytes. */
const MOST_CHANGES_BYTES = 262_144;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** What is known of a request when it has been answered, or is about to be with `status`, fit to be kept and shown. */
export function recordOf(
  request: FastifyRequest,
  reply: FastifyReply,
  { principal, trace }: Partial<RequestContext>,
  status = reply.statusCode,
): HandledRequest {
  const route = request.is404 ? undefined : request.routeOptions.url;
  // What a refused request did was rolled back.
  const done = status < 400 ? trace : null;
  const subjects = subjectsOf(idsOfPath(route, request.params), done?.subjects ?? {});
  // JSON leaves out what is undefined.
  return {
    method: request.method,
    route,
    path: route === undefined ? safeText(pathOf(request.url), MOST_PATH) : undefined,
    status,
    code: problemCodeOf(reply) ?? undefined,
    duration_ms: Math.round(reply.elapsedTime * 10) / 10,
    role: principal?.role,
    key_prefix: principal?.key_prefix ?? undefined,
    handled_at: new Date().toISOString(),
    is_replay: reply.getHeader('idempotency-replayed') === 'true' || undefined,
    subjects,
    ...(done?.has_changes && changesOf(done, mainSubject(route, subjects))),
  };
}

/** An agent may be called by its key; its events know its id. */
function subjectsOf(named: Record<string, string>, seen: Record<string, string>): Record<string, string> {
  const subjects = { ...seen };
  for (const [name, id] of Object.entries(named)) {
    subjects[name] = UUID.test(id) ? id.toLowerCase() : (seen[name] ?? safeText(id, MOST_ID));
  }
  return subjects;
}

/** `/api/v1/tasks/:id/lease/fail` names a task, by the word before the parameter. */
function idsOfPath(route: string | undefined, params: unknown): Record<string, string> {
  const ids: Record<string, string> = {};
  if (route === undefined) return ids;
  for (const [name, value] of Object.entries((params ?? {}) as Record<string, string>)) {
    if (name !== '*') ids[name === 'id' ? `${kindOf(route)}_id` : name] = value;
  }
  return ids;
}

function kindOf(route: string): string {
  const word = route.slice(0, route.indexOf('/:id')).split('/').at(-1)!;
  return word.endsWith('s') ? word.slice(0, -1) : word;
}

/** What the path names first. */
function mainSubject(route: string | undefined, subjects: Record<string, string>): string {
  const kind = route?.includes('/:id') ? kindOf(route) : '';
  return `${kind}:${subjects[`${kind}_id`]}`;
}

function changesOf(
  { changes: all, left_out }: RequestTrace,
  main: string,
): Pick<HandledRequest, 'changes' | 'other_changes' | 'changes_left_out'> {
  let changes: Changes | undefined;
  let room = MOST_CHANGES_BYTES;
  const other_changes: OtherChange[] = [];
  for (const { kind, id, changes: raw } of all) {
    const safe = safeChanges(raw);
    room -= JSON.stringify(safe).length;
    if (`${kind}:${id}` === main) changes = safe;
    else if (room >= 0) other_changes.push({ kind, id, changes: safe });
    else left_out += 1;
  }
  return {
    changes,
    other_changes: other_changes.length > 0 ? other_changes : undefined,
    changes_left_out: left_out || undefined,
  };
}

const safeChanges = (changes: Changes): Changes =>
  Object.fromEntries(
    Object.entries(changes).map(([field, { before, after }]) => [
      field,
      { before: safeValue(field, before), after: safeValue(field, after) },
    ]),
  );
