import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestContext } from '../platform/context/request-context.js';
import type { Changed, Changes } from '../platform/context/request-trace.js';
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

/** What is known of a request when it has been answered, fit to be kept and shown. */
export function recordOf(
  request: FastifyRequest,
  reply: FastifyReply,
  { principal, trace }: Partial<RequestContext>,
): HandledRequest {
  const route = request.is404 ? null : (request.routeOptions.url ?? null);
  const status = reply.statusCode;
  // What a refused request did was rolled back.
  const done = status < 400 ? trace : null;
  const named = idsOfPath(route, request.params);
  const seen = done?.subjects ?? {};
  const subjects = Object.fromEntries(
    // An agent may be called by its key; its events know its id.
    Object.entries({ ...seen, ...named }).map(([name, id]) => [
      name,
      UUID.test(id) ? id.toLowerCase() : (seen[name] ?? safeText(id, MOST_ID)),
    ]),
  );
  return {
    method: request.method,
    route,
    path: route === null ? safeText(pathOf(request.url), MOST_PATH) : null,
    status,
    code: problemCodeOf(reply),
    duration_ms: Math.round(reply.elapsedTime * 10) / 10,
    role: principal?.role ?? null,
    key_prefix: principal?.key_prefix ?? null,
    handled_at: new Date().toISOString(),
    is_replay: reply.getHeader('idempotency-replayed') === 'true',
    subjects,
    ...changesOf(done?.changes ?? [], mainSubject(route, subjects), done?.left_out ?? 0),
  };
}

/** `/api/v1/tasks/:id/lease/fail` names a task, by the word before the parameter. */
function idsOfPath(route: string | null, params: unknown): Record<string, string> {
  const ids: Record<string, string> = {};
  for (const [name, value] of Object.entries((params ?? {}) as Record<string, string>)) {
    if (route === null || name === '*') continue;
    ids[name === 'id' ? `${kindOf(route)}_id` : name] = value;
  }
  return ids;
}

const kindOf = (route: string): string => /(\w+?)s?\/:id/.exec(route)?.[1] ?? 'resource';

function mainSubject(route: string | null, subjects: Record<string, string>): { kind: string; id: string } | null {
  const kind = route?.includes('/:id') ? kindOf(route) : null;
  const id = kind && subjects[`${kind}_id`];
  return kind && id ? { kind, id } : null;
}

function changesOf(
  all: readonly Changed[],
  main: { kind: string; id: string } | null,
  left_out: number,
): Pick<HandledRequest, 'changes' | 'other_changes' | 'changes_left_out'> {
  let changes: Changes = {};
  let room = MOST_CHANGES_BYTES;
  const other_changes: OtherChange[] = [];
  for (const { kind, id, changes: raw } of all) {
    if (Object.keys(raw).length === 0) continue;
    const safe = safeChanges(raw);
    room -= JSON.stringify(safe).length;
    if (kind === main?.kind && id === main.id) changes = safe;
    else if (room >= 0) other_changes.push({ kind, id, changes: safe });
    else left_out += 1;
  }
  return { changes, other_changes, changes_left_out: left_out };
}

const safeChanges = (changes: Changes): Changes =>
  Object.fromEntries(
    Object.entries(changes).map(([field, { before, after }]) => [
      field,
      { before: safeValue(field, before), after: safeValue(field, after) },
    ]),
  );
