import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkHistory, reportOf } from './check-history.js';
import { type Call, type History, type HistoryEvent, readHistory } from './history.js';

const STEPS = [
  { key: 'a', depends_on: [], is_list: false },
  { key: 'b', depends_on: ['a'], is_list: false },
];

/** What really happens, in the words of clients and of the log. */
class Recorder {
  readonly history: History = { calls: [], events: [], rows: [] };
  private count = 0;

  event(type: string, subjects: Partial<HistoryEvent>, data: Record<string, unknown> = {}): void {
    const seq = String(++this.count);
    const nothing = { agent_id: null, task_id: null, workflow_id: null, run_id: null, request_id: null };
    const common = { kind: 'event', txid: `1${seq}`, seq, id: `event-${seq}`, at: '', type } as const;
    this.history.events.push({ ...common, ...nothing, ...subjects, data });
  }

  call(call: Partial<Call> & Pick<Call, 'operation'>, answer: Partial<Call> = {}, phase: Call['phase'] = 'ok'): void {
    const common = { kind: 'call', at: '', client: 'client', call: `call-${++this.count}` } as const;
    this.history.calls.push({ ...common, ...call, phase: 'invoke' }, { ...common, ...call, ...answer, phase });
  }

  create(task_id: string, dependencies: string[] = []): void {
    const status = dependencies.length > 0 ? 'blocked' : 'pending';
    this.event('task_created', { task_id, request_id: `key-${task_id}` }, { old_status: null, new_status: status });
    this.call({ operation: 'create_task', idempotency_key: `key-${task_id}`, dependencies }, { task_id });
  }

  unblock(task_id: string): void {
    this.event('task_updated', { task_id }, { old_status: 'blocked', new_status: 'pending' });
  }

  start(task_id: string, attempt: number, agent_id = 'ada', more: Partial<HistoryEvent> = {}, step_key?: string): void {
    const data = { old_status: 'pending', new_status: 'in_progress', attempt, step_key };
    this.event('task_started', { task_id, agent_id, ...more }, data);
    const leases = [{ task_id, lease_token: `token-${task_id}-${attempt}`, attempt }];
    this.call({ operation: 'lease', agent_id }, { leases });
  }

  expire(task_id: string, attempt: number): void {
    this.event('task_lease_expired', { task_id }, { attempt });
    this.event('task_failed', { task_id }, { attempt, final: false, old_status: 'pending', new_status: 'pending' });
    this.event('task_retry_scheduled', { task_id }, { attempt, old_status: 'in_progress', new_status: 'pending' });
  }

  complete(task_id: string, attempt: number, more: Partial<HistoryEvent> = {}, step_key?: string): void {
    const data = { old_status: 'in_progress', new_status: 'completed', attempt, step_key };
    this.event('task_completed', { task_id, ...more }, data);
    const lease_token = `token-${task_id}-${attempt}`;
    this.call({ operation: 'complete', task_id, lease_token, output_hash: `done-${attempt}` });
    this.history.rows.push({
      kind: 'row',
      table: 'tasks',
      id: task_id,
      status: 'completed',
      output_hash: `done-${attempt}`,
    });
  }
}

/** Two tasks, the first of which needs a second attempt and the second waits for it; and a run of two steps. */
function soundHistory(): History {
  const recorder = new Recorder();
  recorder.create('one');
  recorder.create('two', ['one']);
  recorder.start('one', 1);
  recorder.expire('one', 1);
  recorder.start('one', 2, 'bob');
  recorder.call({ operation: 'complete', task_id: 'one', lease_token: 'token-one-1' }, { status: 409 }, 'fail');
  recorder.complete('one', 2);
  recorder.call({ operation: 'complete', task_id: 'one', lease_token: 'token-one-2', output_hash: 'done-2' });
  recorder.unblock('two');
  recorder.start('two', 1);
  recorder.complete('two', 1);

  const of = { workflow_id: 'flow', run_id: 'run' };
  recorder.event('workflow_created', { workflow_id: 'flow', request_id: 'key-flow' });
  recorder.call(
    { operation: 'create_workflow', idempotency_key: 'key-flow', steps: STEPS },
    { workflow_id: 'flow' },
    'ok',
  );
  recorder.event('workflow_executed', { ...of, request_id: 'key-run' });
  recorder.event('run_started', of);
  recorder.call({ operation: 'execute_workflow', idempotency_key: 'key-run' }, {}, 'unknown');
  recorder.call({ operation: 'execute_workflow', idempotency_key: 'key-run' }, { run_id: 'run' });
  for (const { key } of STEPS) {
    recorder.event('run_step_started', of, { key });
    const data = { old_status: null, new_status: 'pending', step_key: key };
    recorder.event('task_created', { ...of, task_id: `task-${key}` }, data);
    recorder.start(`task-${key}`, 1, 'ada', of, key);
    recorder.complete(`task-${key}`, 1, of, key);
    recorder.event('run_step_completed', of, { key });
  }
  recorder.event('run_completed', of);
  recorder.history.rows.push({
    kind: 'row',
    table: 'workflow_runs',
    id: 'run',
    status: 'completed',
    output_hash: null,
  });
  return recorder.history;
}

type Is = (event: HistoryEvent) => boolean;
const typed =
  (type: string, subject: Partial<HistoryEvent> = {}, data: object = {}): Is =>
  (event) =>
    event.type === type &&
    Object.entries(subject).every(([key, value]) => event[key as keyof HistoryEvent] === value) &&
    Object.entries(data).every(([key, value]) => event.data[key] === value);

/** The log keeps its positions: only what it says is another. */
function rewrite(history: History, change: (events: HistoryEvent[]) => HistoryEvent[]): void {
  const events = change(history.events.slice());
  history.events = events.map((event, index) => ({ ...event, txid: String(index + 1), seq: String(index + 1) }));
}
const without = (history: History, is: Is): void => rewrite(history, (events) => events.filter((one) => !is(one)));
const again = (history: History, is: Is): void =>
  rewrite(history, (events) => events.flatMap((one) => (is(one) ? [one, { ...one, id: `${one.id}-again` }] : [one])));
const moveBefore = (history: History, is: Is, place: Is): void =>
  rewrite(history, (events) => {
    const moved = events.find(is)!;
    const rest = events.filter((one) => one !== moved);
    return rest.toSpliced(rest.findIndex(place), 0, moved);
  });
const truncateAfter = (history: History, is: Is): void => {
  rewrite(history, (events) => events.slice(0, events.findIndex(is) + 1));
  history.rows = [];
};
const answered = ({ calls }: History, is: (call: Call) => boolean): Call =>
  calls.find((call) => call.phase === 'ok' && is(call))!;

const FAULTS: [kind: string, what: string, plant: (history: History) => void, text: RegExp][] = [
  [
    'LOST',
    'a task that was acknowledged and is not in the log',
    (history) => without(history, ({ task_id }) => task_id === 'two'),
    /task two: acknowledged, not in the log/,
  ],
  [
    'LOST',
    'a run that was acknowledged and is not in the log',
    (history) => without(history, ({ run_id }) => run_id === 'run'),
    /run run: acknowledged, not in the log/,
  ],
  [
    'LOST',
    'a task that was acknowledged and never ended',
    (history) => truncateAfter(history, typed('task_started', { task_id: 'two' })),
    /task two: acknowledged, and never ended/,
  ],
  [
    'LOST',
    'a run that was acknowledged and never ended',
    (history) => truncateAfter(history, typed('run_step_started', {}, { key: 'b' })),
    /run run: acknowledged, and never ended/,
  ],
  [
    'LOST',
    'a completion that was acknowledged and is not in the log',
    (history) => without(history, typed('task_completed', { task_id: 'two' })),
    /task two: its completion was acknowledged/,
  ],
  [
    'LOST',
    'a lease that was granted and is not in the log',
    (history) => without(history, typed('task_started', { task_id: 'two' })),
    /task two: attempt 1 was leased to agent ada, but is not in the log/,
  ],
  [
    'LOST',
    'a row that is gone',
    (history) => (history.rows = history.rows.filter(({ id }) => id !== 'one')),
    /task one: in the log, but not in the database/,
  ],
  [
    'LOST',
    'a row that went back',
    (history) => (history.rows[0]!.status = 'pending'),
    /task one: completed in the log, but pending in the database/,
  ],
  [
    'LOST',
    'a result that another one replaced',
    (history) => (history.rows[0]!.output_hash = 'done-1'),
    /task one: the result that was accepted/,
  ],
  [
    'DUPLICATED',
    'two completions of one task that were accepted',
    (history) => {
      const late = history.calls.find(({ phase }) => phase === 'fail')!;
      late.phase = 'ok';
    },
    /task one: completions with 2 leases were accepted/,
  ],
  [
    'DUPLICATED',
    'a task that completed twice in the log',
    (history) => again(history, typed('task_completed', { task_id: 'two' })),
    /task two: completed again/,
  ],
  [
    'DUPLICATED',
    'another attempt accepted than the one in the log',
    (history) => {
      const complete = history.calls.filter(({ operation, task_id }) => operation === 'complete' && task_id === 'one');
      for (const call of complete) call.lease_token = 'token-one-1';
    },
    /task one: attempt 1 was accepted, and attempt 2 is in the log/,
  ],
  [
    'DUPLICATED',
    'one key that made two tasks, as the client was told',
    (history) => {
      const first = answered(history, ({ operation, task_id }) => operation === 'create_task' && task_id === 'one');
      answered(history, ({ task_id }) => task_id === 'two').idempotency_key = first.idempotency_key;
    },
    /idempotency key key-one: one key made 2 tasks/,
  ],
  [
    'DUPLICATED',
    'one key that made two tasks, of which the client never heard',
    (history) =>
      rewrite(history, (events) =>
        events.flatMap((one) =>
          typed('task_created', { task_id: 'one' })(one) ? [one, { ...one, id: 'ghost', task_id: 'ghost' }] : [one],
        ),
      ),
    /idempotency key key-one: one key made 2 tasks: one, ghost/,
  ],
  [
    'DUPLICATED',
    'a step that started twice',
    (history) => again(history, typed('run_step_started', {}, { key: 'a' })),
    /run run: run_step_started twice for a/,
  ],
  [
    'DUPLICATED',
    'a step that completed twice',
    (history) => again(history, typed('run_step_completed', {}, { key: 'b' })),
    /run run: run_step_completed twice for b/,
  ],
  [
    'DUPLICATED',
    'a step with a second task',
    (history) =>
      rewrite(history, (events) =>
        events.flatMap((one) =>
          typed('task_created', { task_id: 'task-a' })(one) ? [one, { ...one, id: 'twin', task_id: 'twin' }] : [one],
        ),
      ),
    /run run: step a has a second task: twin/,
  ],
  [
    'DUPLICATED',
    'a run that completed twice',
    (history) => again(history, typed('run_completed')),
    /run run: run_completed twice/,
  ],
  [
    'DUPLICATED',
    'one lease token for two',
    (history) => {
      const { leases } = answered(history, ({ operation, agent_id }) => operation === 'lease' && agent_id === 'bob');
      leases![0]!.lease_token = 'token-one-1';
    },
    /task one: its lease token was also given to agent ada for task one/,
  ],
  [
    'DUPLICATED',
    'an event that is in the log twice',
    (history) => rewrite(history, ([first, ...rest]) => [first!, { ...first!, type: 'task_noted' }, ...rest]),
    /it is in the log twice/,
  ],
  [
    'OUT-OF-ORDER',
    'a position that is not after the one before',
    (history) => (history.events[3]!.txid = '1'),
    /its position 1\.\d+ is not after/,
  ],
  [
    'OUT-OF-ORDER',
    'a completion before the start',
    (history) => moveBefore(history, typed('task_completed', { task_id: 'two' }), typed('task_started')),
    /task two: task_completed of a task that is blocked, not in_progress/,
  ],
  [
    'OUT-OF-ORDER',
    'a start after the end',
    (history) =>
      rewrite(history, (events) => [
        ...events,
        { ...events.find(typed('task_started', { task_id: 'two' }))!, id: 'late' },
      ]),
    /task two: task_started of a task that is completed, not pending/,
  ],
  [
    'OUT-OF-ORDER',
    'a move that the table of states does not know',
    (history) => {
      const unblocked = history.events.find(typed('task_updated', { task_id: 'two' }))!;
      unblocked.data = { old_status: 'blocked', new_status: 'completed' };
    },
    /task two: task_updated moved it from blocked to completed/,
  ],
  [
    'OUT-OF-ORDER',
    'an event before the creation',
    (history) => moveBefore(history, typed('task_started', { task_id: 'one' }), typed('task_created')),
    /task one: task_started came before its creation/,
  ],
  [
    'OUT-OF-ORDER',
    'attempts that do not increase',
    (history) => {
      for (const { data } of history.events.filter(({ task_id }) => task_id === 'one'))
        if (data.attempt === 2) data.attempt = 1;
    },
    /task one: attempt 1 came after attempt 1/,
  ],
  [
    'OUT-OF-ORDER',
    'a dependent that started before its dependency completed',
    (history) => {
      without(history, typed('task_updated', { task_id: 'two' }));
      history.events.find(typed('task_created', { task_id: 'two' }))!.data.new_status = 'pending';
      moveBefore(history, typed('task_started', { task_id: 'two' }), typed('task_started', { agent_id: 'bob' }));
    },
    /task two: started before its dependency one was completed/,
  ],
  [
    'OUT-OF-ORDER',
    'a step that started before the step it depends on completed',
    (history) =>
      moveBefore(history, typed('run_step_started', {}, { key: 'b' }), typed('run_step_completed', {}, { key: 'a' })),
    /run run: run_step_started of b while a, which it depends on, is running/,
  ],
  [
    'OUT-OF-ORDER',
    'a run that completed while a task of it was in progress',
    (history) => moveBefore(history, typed('run_completed'), typed('task_completed', { task_id: 'task-b' })),
    /run run: completed while its step b is running/,
  ],
  [
    'OUT-OF-ORDER',
    'a run that goes on after its end',
    (history) => moveBefore(history, typed('run_completed'), typed('run_step_started', {}, { key: 'b' })),
    /run run: run_step_started of b in a run that is completed/,
  ],
  [
    'STUCK',
    'a task that could be leased and never was',
    (history) => truncateAfter(history, typed('task_updated', { task_id: 'two' })),
    /task two: it could be leased after 0 attempts, and never was/,
  ],
  [
    'STUCK',
    'a lease that is over and was not taken back',
    (history) => truncateAfter(history, typed('task_started', { task_id: 'one', agent_id: 'bob' })),
    /task one: attempt 2 of agent bob was neither ended nor taken back/,
  ],
  [
    'STUCK',
    'a task that is blocked for ever',
    (history) => truncateAfter(history, typed('task_completed', { task_id: 'one' })),
    /task two: it is blocked for ever/,
  ],
  [
    'STUCK',
    'a run that has no live task and did not end',
    (history) => truncateAfter(history, typed('run_step_completed', {}, { key: 'b' })),
    /run run: it is running, though none of its tasks is left to do/,
  ],
  [
    'STUCK',
    'a run whose task is not done',
    (history) => truncateAfter(history, typed('task_started', { task_id: 'task-b' })),
    /run run: it is running; tasks that have not ended: task-b \(b\)/,
  ],
];

describe('the history checker', () => {
  it('has nothing to say about a sound history', () => {
    expect(checkHistory(soundHistory())).toEqual([]);
  });

  it.each(FAULTS)('finds work that is %s: %s', (kind, _what, plant, text) => {
    const history = soundHistory();
    plant(history);

    const report = reportOf(history, checkHistory(history));

    const lines = report.split('\n').filter((line) => line.startsWith(kind));
    expect(lines.join('\n')).toMatch(text);
  });

  it('takes an attempt that was given back for none', () => {
    const recorder = new Recorder();
    recorder.create('one');
    recorder.start('one', 1);
    recorder.event('task_updated', { task_id: 'one' }, { old_status: 'in_progress', new_status: 'pending' });
    recorder.start('one', 1, 'bob');
    recorder.history.calls.at(-1)!.leases![0]!.lease_token = 'token-of-bob';
    recorder.complete('one', 1);

    expect(checkHistory(recorder.history)).toEqual([]);
  });
});

describe('the program', () => {
  const run = (history: History, end = '') => {
    const folder = mkdtempSync(join(tmpdir(), 'flightdeck-history-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const write = (name: string, lines: object[], more = '') =>
      writeFileSync(join(folder, name), lines.map((line) => `${JSON.stringify(line)}\n`).join('') + more);
    write('client.jsonl', history.calls, end);
    write('server.jsonl', [...history.events, ...history.rows]);
    const files = ['client.jsonl', 'server.jsonl'].map((name) => join(folder, name));
    expect(readHistory(files)).toEqual(history);
    return spawnSync(process.execPath, [resolve('dist/test/faults/check-history.js'), ...files], { encoding: 'utf8' });
  };

  it('ends with 0 when all is well, also when a client was killed while it wrote', () => {
    const { status, stdout } = run(soundHistory(), '{"kind":"call","at');

    expect(status).toBe(0);
    expect(stdout).toMatch(/^\d+ calls, \d+ events: 0 LOST, 0 DUPLICATED, 0 OUT-OF-ORDER, 0 STUCK\n$/);
  });

  it('ends with 1 and says what is wrong', () => {
    const history = soundHistory();
    without(history, ({ task_id }) => task_id === 'two');

    const { status, stdout } = run(history);

    expect(status).toBe(1);
    expect(stdout).toContain('LOST  task two: acknowledged, not in the log');
  });
});
