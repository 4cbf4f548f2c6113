import { type ApiDocument, type Operation, named, resolved, type Schema } from './api-document.js';
import type { Kind, Things } from './two-projects.js';

/** Which kind of thing a field or parameter names. */
const REFERENCES: Record<string, Kind> = {
  project_id: 'project',
  agent_id: 'agent',
  assigned_agent_id: 'agent',
  assigned_agents: 'agent',
  task_id: 'task',
  task_ids: 'task',
  current_task_id: 'task',
  dependency_id: 'task',
  dependencies: 'task',
  workflow_id: 'workflow',
  run_id: 'run',
  actor_id: 'key',
  request_id: 'request',
  lease_token: 'lease',
};
/** Texts by which a list can be searched. */
const TEXTS = new Set(['search', 'tags', 'type', 'agent_type', 'task_type', 'workflow_type']);
const LOOKS_LIKE_REFERENCE = /(^id|_ids?|_token|_agents|dependencies)$/;
/** Not of things: a step names other steps; keys of agents and steps are chosen by clients. */
const NO_REFERENCE = new Set(['depends_on', 'key']);

/** What `{id}` is, by the word before it. */
const COLLECTIONS: Record<string, Kind> = {
  projects: 'project',
  agents: 'agent',
  tasks: 'task',
  workflows: 'workflow',
  runs: 'run',
  keys: 'key',
};

let count = 0;
/** The least that each body needs, so that what is wrong with it is only what the test puts there. */
const BODIES: Record<string, (own: Things) => object> = {
  CreateApiKeyDto: () => ({ name: 'made by a test', role: 'agent' }),
  RotateApiKeyDto: () => ({}),
  CreateProjectDto: () => ({ name: 'made by a test' }),
  UpdateProjectDto: () => ({ description: 'changed' }),
  CreateAgentDto: () => ({ name: `made ${++count}`, type: 'made' }),
  UpdateAgentDto: () => ({ description: 'changed' }),
  UpdateAgentStatusDto: () => ({ status: 'waiting' }),
  AgentMetricsDto: () => ({ error_count: 3 }),
  HeartbeatDto: () => ({ status: 'waiting' }),
  LeaseTasksDto: (own) => ({ agent_id: own.agent[0] }),
  CompleteTasksDto: (own) => ({ results: [{ task_id: own.task[0], lease_token: own.lease[0] }] }),
  LeaseHeartbeatDto: (own) => ({ lease_token: own.lease[0], progress_percentage: 5 }),
  CompleteTaskDto: (own) => ({ lease_token: own.lease[0] }),
  FailTaskDto: (own) => ({ lease_token: own.lease[0], error: { message: 'no' } }),
  ReleaseTaskDto: (own) => ({ lease_token: own.lease[0] }),
  CreateTaskDto: () => ({ title: 'made by a test', agent_type: 'nobody' }),
  BulkUpdateTasksDto: (own) => ({ task_ids: [own.task[0]], updates: { description: 'changed' } }),
  UpdateTaskDto: () => ({ description: 'changed' }),
  UpdateTaskStatusDto: () => ({ status: 'completed' }),
  UpdateTaskProgressDto: () => ({ progress_percentage: 7 }),
  AssignTaskDto: () => ({ assigned_agent_id: null }),
  AddDependencyDto: (own) => ({ dependency_id: own.task[0] }),
  CreateWorkflowDto: () => ({ name: 'made by a test' }),
  UpdateWorkflowDto: () => ({ description: 'changed' }),
  UpdateWorkflowStatusDto: () => ({ status: 'cancelled' }),
  AssignWorkflowAgentDto: (own) => ({ agent_id: own.agent[0] }),
  ExecuteWorkflowDto: () => ({ scheduled_at: '2999-01-01T00:00:00Z' }),
  ValidateWorkflowDto: () => ({ steps: [{ key: 'a' }] }),
  RerunDto: () => ({ from_failure: true }),
};
/** Of what a body holds in a list of objects. */
const ITEMS: Record<string, (own: Things) => object> = {
  StepDto: () => ({ key: 'a' }),
  TaskResultDto: (own) => ({ task_id: own.task[0], lease_token: own.lease[0] }),
};

export interface ForeignRequest {
  /** Where the foreign thing is named. */
  place: string;
  value: string;
  method: string;
  url: string;
  payload: unknown;
}

/** A field of a body that names a thing, and how a body is made that names this one. */
interface Place {
  name: string;
  kind: Kind;
  put: (body: Record<string, unknown>, value: string, own: Things) => void;
}

/**
 * The request of the operation with something foreign in each place where one can be named, one place at a time; `give`
 * says what is put there. Throws where it does not know how.
 */
export function requestsWith(
  document: ApiDocument,
  operation: Operation,
  own: Things,
  foreign: Things,
  give: (value: string) => string,
): ForeignRequest[] {
  const path = operation.parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  const kinds = new Map(path.map((name) => [name, kindInPath(operation, name)]));
  const body = (): Record<string, unknown> | undefined => bodyOf(operation, own);
  const urlWith = (given: Record<string, string>) =>
    operation.path.replace(/\{(\w+)\}/g, (_all, name: string) => given[name] ?? own[kinds.get(name)!][0]!);
  const { method } = operation;
  const requests: ForeignRequest[] = [];
  for (const name of path) {
    // By id only, where a key will not do.
    const byKey = name === 'id';
    for (const value of foreign[kinds.get(name)!].filter((each) => byKey || each.includes('-'))) {
      requests.push({ place: name, value, method, url: urlWith({ [name]: give(value) }), payload: body() });
    }
  }
  for (const { name } of operation.parameters.filter((parameter) => parameter.in === 'query')) {
    const kind = queryKind(operation, name);
    for (const value of kind ? foreign[kind] : []) {
      const url = `${urlWith({})}?${name}=${encodeURIComponent(give(value))}`;
      requests.push({ place: `?${name}`, value, method, url, payload: body() });
    }
  }
  if (operation.body === null) return requests;
  for (const { name, kind, put } of placesIn(document, operation.body, named(operation))) {
    for (const value of foreign[kind]) {
      const payload = body()!;
      put(payload, give(value), own);
      requests.push({ place: name, value, method, url: urlWith({}), payload });
    }
  }
  return requests;
}

/** The least body that the operation takes. */
export function bodyOf({ body, ...operation }: Operation, own: Things): Record<string, unknown> | undefined {
  if (body === null) return operation.method === 'POST' ? {} : undefined;
  const make = BODIES[nameOf(body)];
  if (!make)
    throw new Error(`${named({ body, ...operation })} takes a ${nameOf(body)}: say here which is the least one`);
  return structuredClone(make(own)) as Record<string, unknown>;
}

export function kindInPath(operation: Operation, name: string): Kind {
  const before = new RegExp(`(\\w+)/\\{${name}\\}`).exec(operation.path)?.[1] ?? '';
  const kind = name === 'id' ? COLLECTIONS[before] : REFERENCES[name];
  if (!kind) throw new Error(`${named(operation)}: say here what {${name}} is`);
  return kind;
}

function queryKind(operation: Operation, name: string): Kind | undefined {
  if (TEXTS.has(name)) return 'text';
  if (!REFERENCES[name] && LOOKS_LIKE_REFERENCE.test(name)) {
    throw new Error(`${named(operation)}: say here what ?${name} is`);
  }
  return REFERENCES[name];
}

const nameOf = (schema: Schema): string => (schema.$ref ?? schema.allOf?.[0]?.$ref ?? '').split('/').at(-1)!;

function placesIn(document: ApiDocument, schema: Schema, where: string, path: readonly string[] = []): Place[] {
  const { properties = {} } = resolved(document, schema);
  return Object.entries(properties).flatMap(([name, property]) => {
    const at = [...path, name];
    const all = resolved(document, property);
    const kind = REFERENCES[name];
    if (kind) return [placeAt(at, kind, [all.type].flat().includes('array'))];
    if (all.items) {
      const inner = resolved(document, all.items);
      if (!inner.properties) return rest(where, at, inner);
      const make = ITEMS[nameOf(all.items)];
      if (!make) throw new Error(`${where}: say here which is the least ${nameOf(all.items)}`);
      return placesIn(document, all.items, where).map((place) => ({
        ...place,
        name: `${at.join('/')}/0/${place.name}`,
        put: (body: Record<string, unknown>, value: string, own: Things) => {
          const item = make(own) as Record<string, unknown>;
          place.put(item, value, own);
          const holder = within(body, path);
          // Under one of its names only.
          if (name === 'steps') delete holder.definition;
          holder[name] = [item];
        },
      }));
    }
    if (all.properties) return placesIn(document, property, where, at);
    return rest(where, at, all);
  });
}

/** No field that names something is passed over. */
function rest(where: string, at: readonly string[], { format }: Schema): Place[] {
  const name = at.at(-1)!;
  if (NO_REFERENCE.has(name) || (format !== 'uuid' && !LOOKS_LIKE_REFERENCE.test(name))) return [];
  throw new Error(`${where}: say here what /${at.join('/')} is`);
}

const placeAt = (at: readonly string[], kind: Kind, isList: boolean): Place => ({
  name: at.join('/'),
  kind,
  put: (body, value) => {
    const holder = within(body, at.slice(0, -1));
    // The other name of the same field would contradict it.
    if (at.at(-1) === 'agent_id') delete holder.assigned_agent_id;
    holder[at.at(-1)!] = isList ? [value] : value;
  },
});

function within(body: Record<string, unknown>, path: readonly string[]): Record<string, unknown> {
  let holder = body;
  for (const name of path) holder = (holder[name] ??= {}) as Record<string, unknown>;
  return holder;
}
