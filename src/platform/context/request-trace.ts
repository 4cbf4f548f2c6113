import { isDeepStrictEqual } from 'node:util';

/** Fields with their values before and after. */
export type Changes = Record<string, { before: unknown; after: unknown }>;

/** What a change is about: the kind of thing and its id. */
export interface Changed {
  kind: string;
  id: string;
  changes: Changes;
}

/** Enough for the largest bulk change; what follows from one (dependents, tasks of a run) may be any number. */
const MOST_CHANGED = 1_000;
const SUBJECTS = ['project_id', 'agent_id', 'task_id', 'workflow_id', 'run_id', 'hitl_request_id'];
/** `task_completed` is about a task, whatever else it names. */
const KIND = /^[a-z]+/;

/** What a request has committed so far, for the record that it leaves. */
export class RequestTrace {
  /** null: the events of the request are about several. */
  private seen: Record<string, string | null> = {};
  /** By kind and id. Most requests change nothing that was there before. */
  private changed: Map<string, Changed> | null = null;
  private leftOut = 0;
  private recorder: { make: () => object; status: number } | null = null;
  private recordedStatus: number | null = null;

  /** The status that the record names which was committed with the change; null: none was. */
  get recorded_status(): number | null {
    return this.recordedStatus;
  }

  /** How the record is made, for a change that takes it along; `status` is what is answered when it succeeds. */
  useRecorder(make: () => object, status: number): void {
    this.recorder = { make, status };
  }

  /** Gives the record of the request, as a row of the event log, to what writes the change; null: it is written later. */
  async recordWithin<T>(write: (record: object | null) => Promise<T>): Promise<T> {
    const { recorder } = this;
    const record = recorder && recorder.make();
    // It leads to all that the request has made, and this is still there when that is not needed any more.
    this.recorder = null;
    const result = await write(record);
    this.recordedStatus = recorder && recorder.status;
    return result;
  }

  /** The ids that all events of the request agree about. */
  get subjects(): Record<string, string> {
    const agreed: Record<string, string> = {};
    for (const [name, id] of Object.entries(this.seen)) if (id !== null) agreed[name] = id;
    return agreed;
  }

  get has_changes(): boolean {
    return this.changed !== null;
  }

  get changes(): readonly Changed[] {
    return [...(this.changed?.values() ?? [])];
  }

  /** Things that changed beyond those that are listed. */
  get left_out(): number {
    return this.leftOut;
  }

  noteEvent(event: object & { readonly type: string }): void {
    const data = event as unknown as Record<string, unknown>;
    for (const name of SUBJECTS) {
      const id = data[name];
      if (typeof id !== 'string') continue;
      const known = this.seen[name];
      this.seen[name] = known === undefined || known === id ? id : null;
    }
    const { old_status, new_status } = data;
    if (typeof old_status !== 'string' || old_status === new_status) return;
    const kind = KIND.exec(event.type)?.[0] ?? '';
    const id = data[`${kind}_id`];
    if (typeof id === 'string')
      this.noteChanges({ kind, id, changes: { status: { before: old_status, after: new_status } } });
  }

  noteChanges({ kind, id, changes }: Changed): void {
    const fields = Object.entries(changes);
    if (fields.length === 0) return;
    // What moves out of a project was that one's before, and is another's now: the record is about neither alone.
    if ((changes.project_id?.before ?? null) !== null) this.seen.project_id = null;
    this.changed ??= new Map();
    const key = `${kind}:${id}`;
    const known = this.changed.get(key);
    if (!known && this.changed.size === MOST_CHANGED) {
      this.leftOut += 1;
      return;
    }
    const merged = known ?? { kind, id, changes: {} };
    this.changed.set(key, merged);
    for (const [field, { before, after }] of fields) {
      // What the request found stands; what it left is the newest.
      const first = merged.changes[field];
      merged.changes[field] = { before: first ? first.before : before, after };
    }
  }
}

/** What a thing was before it is changed in place. */
export type Snapshot = Readonly<Record<string, unknown>>;

export const snapshot = (thing: object): Snapshot => Object.assign({}, thing) as Snapshot;

/** Which of the fields differ from the snapshot, and how. */
export function changesSince(before: Snapshot, thing: object, fields: readonly string[]): Changes {
  const after = snapshot(thing);
  const changes: Changes = {};
  for (const field of fields) {
    if (!isSame(before[field], after[field])) changes[field] = { before: before[field], after: after[field] };
  }
  return changes;
}

/** JSON of the client has a class of its own while it is on its way into the database. */
const isSame = (before: unknown, after: unknown): boolean =>
  before === after || isDeepStrictEqual(plain(before), plain(after));

const plain = (value: unknown): unknown =>
  typeof value === 'object' && value !== null ? (JSON.parse(JSON.stringify(value)) as unknown) : value;
