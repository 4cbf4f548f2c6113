import { Injectable } from '@nestjs/common';
import { AgentPresence } from '../agents/agent-presence.js';
import { actAsAgent, continueIn, currentContext, type RequestContext } from '../platform/context/request-context.js';
import { Batch } from '../platform/database/batch.js';
import { Database } from '../platform/database/database.js';
import { newId } from '../platform/database/new-id.js';
import { openScope } from '../platform/database/transaction-scope.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { isLocked, shareTransaction, waitShortly } from '../platform/database/share-transaction.js';
import { InvalidInput } from '../platform/errors/common.errors.js';
import { DomainError, refusalOf } from '../platform/errors/domain-error.js';
import { CommitSignal } from '../platform/events/commit-signal.js';
import { eventOrigin } from '../platform/events/event-rows.js';
import { JsonText } from '../platform/http/json-text.js';
import type { CompleteTaskDto, TaskResultDto } from './dto/lease.dto.js';
import { HeldLeases } from './held-leases.js';
import {
  COMPLETE,
  COMPLETE_IN_RUNS,
  type CompletedInRun,
  type CompletedTask,
  END_OF_COMPLETIONS,
  type LeasedTask,
} from './task.sql.js';
import { TaskLifecycle } from './task-lifecycle.js';
import { TaskStatus } from './task-state.js';
import { TaskStore } from './task-store.js';
import { TaskCompleted } from './tasks.events.js';

const MOST_IN_COMPANY = 10_000;
/** In characters of JSON. */
const LARGE_OUTPUT = 10_000;
const MAX_OUTPUT_BYTES = 1_048_576;

/** The task as clients see it, as far as it is known already. */
type Completed = Pick<CompletedTask, 'json'>;

interface Result {
  task_id: string;
  dto: CompleteTaskDto;
  /** JSON. */
  output: string;
  /** Whether the caller wants to see the task. */
  is_shown: boolean;
  context: RequestContext;
  /** It is large; or it has a score, which moves the one before it. */
  goesAlone: boolean;
}

/**
 * Takes the results of agents. Those that come at the same time share a statement or, if runs have to move on with them,
 * a transaction; what those will not take is locked and looked at by itself.
 */
@Injectable()
export class TaskCompletions {
  /** Leases of tasks that others have to hear of, as far as this node gave them: the short way is not for them. */
  private readonly inCompany = new Set<string>();
  // Two at once would often meet at the row of one agent, and the second go the other way.
  private readonly lane = { lanes: 1, keyOf: ({ goesAlone, task_id }: Result) => (goesAlone ? task_id : '') };
  private readonly alone = new Batch((results: Result[]) => this.completeAlone(results), this.lane);
  private readonly inRuns = new Batch((results: Result[]) => this.completeInRuns(results), this.lane);
  // Each waits with a connection, of which others need some.
  private readonly patient = new Batch((results: Result[]) => this.completePatiently(results), { most: 1, lanes: 4 });

  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly store: TaskStore,
    private readonly lifecycle: TaskLifecycle,
    private readonly leases: HeldLeases,
    private readonly presence: AgentPresence,
    private readonly commits: CommitSignal,
  ) {}

  /** So that their results take the right way at once. */
  noteLeased(tasks: readonly LeasedTask[]): void {
    for (const { lease_token, is_in_company } of tasks) if (is_in_company) this.inCompany.add(lease_token);
    for (const oldest of this.inCompany) {
      if (this.inCompany.size <= MOST_IN_COMPANY) return;
      this.inCompany.delete(oldest);
    }
  }

  /** The same call again gets the same answer: a lost reply is harmless. */
  async complete(id: string, dto: CompleteTaskDto): Promise<JsonText> {
    const done = await this.completeTogether(id, dto, true);
    if (done?.json) return new JsonText(done.json);
    if (!done) await this.completeLocked(id, dto);
    return this.store.getJson(id);
  }

  /** Each for itself. Answers, in their order, why one was refused, else null. Throws what is nobody's fault. */
  async completeMany(results: readonly TaskResultDto[]): Promise<(DomainError | null)[]> {
    const together = (result: TaskResultDto) => this.completeTogether(result.task_id, result, false).catch(refusalOf);
    const outcomes: (object | null)[] = await Promise.all(results.map(together));
    // One after the other: many of one run would wait for each other, each with a connection.
    for (const [index, result] of results.entries()) {
      outcomes[index] ??= await this.completeLocked(result.task_id, result).catch(refusalOf);
    }
    return outcomes.map((outcome) => (outcome instanceof DomainError ? outcome : null));
  }

  /** With others that come at the same time. Null: it must be done another way, which also tells why. */
  private async completeTogether(task_id: string, dto: CompleteTaskDto, is_shown: boolean): Promise<Completed | null> {
    const output = outputOf(dto);
    await this.store.assertOwnLease(task_id, dto.lease_token);
    const goesAlone = (dto.quality_score ?? null) !== null || output.length > LARGE_OUTPUT;
    const result = { task_id, dto, output, is_shown, goesAlone, context: currentContext() };
    const isInCompany = this.inCompany.delete(dto.lease_token);
    return (
      (isInCompany ? null : await this.alone.add(result)) ??
      this.inRuns.add(result).catch((error) => this.unlessLocked(error, result))
    );
  }

  /** A locked one waits by itself. In a transaction of the caller's nothing can follow what has failed. */
  private unlessLocked(error: unknown, result: Result): Promise<Completed> {
    if (!isLocked(error) || openScope()) throw error;
    return this.patient.add(result);
  }

  private completePatiently(results: Result[]): Promise<Completed[]> {
    const complete = async ({ task_id, dto, context }: Result): Promise<Completed> => {
      await continueIn(context, () => this.completeLocked(task_id, dto));
      return { json: null };
    };
    return Promise.all(results.map(complete));
  }

  /** Whatever the task is in: it is locked, looked at, and then completed. */
  private completeLocked(id: string, { lease_token, output = null, quality_score, metrics }: CompleteTaskDto) {
    return this.leases.end(id, lease_token, 'completed', (tx, task) =>
      this.lifecycle.complete(tx, task, { output, quality_score: quality_score ?? undefined, metrics }),
    );
  }

  /** Tasks of which nobody else has to hear. */
  private async completeAlone(results: Result[]): Promise<(CompletedTask | null)[]> {
    const rows = await this.database.query<CompletedTask>(COMPLETE, [
      ...valuesOf(results),
      results.map(() => newId()),
      results.map(({ dto }) => JSON.stringify(dto.metrics ?? {})),
      results.map(({ context }) => JSON.stringify(eventOrigin(context).metadata)),
    ]);
    const done = doneOf(results, rows);
    for (const { task, context } of done) {
      continueIn(context, () => actAsAgent(task.assigned_agent_id));
      context.trace?.noteEvent(eventOf(task));
      this.noteCompleted(task.assigned_agent_id);
    }
    if (done.length > 0) this.commits.signal();
    return inOrderOf(results, done);
  }

  /** Tasks whose runs may go on. */
  private completeInRuns(results: Result[]): Promise<(CompletedTask | null)[]> {
    const isPartOfRequest = openScope() !== undefined;
    return this.unitOfWork.run(async (tx) => {
      // One whose row, or agent's row, somebody has locked must not keep those behind it waiting. Behind one that is part of
      // a request's own transaction there are none.
      if (results.length > 1) shareTransaction(this.database);
      else if (!isPartOfRequest) waitShortly(this.database);
      const rows = await this.database.query<CompletedInRun>(COMPLETE_IN_RUNS, valuesOf(results));
      this.store.noteRunLocks(rows);
      const done = doneOf(results, rows);
      // The same result may be given twice at once: it is one.
      const once = [...new Map(done.map((each) => [each.task.id, each])).values()];
      for (const { task, dto, context } of once) continueIn(context, () => this.record(tx, task, dto.metrics));
      if (once.length > 0) tx.sendLast(END_OF_COMPLETIONS, booksOf(once));
      return inOrderOf(results, done);
    });
  }

  private record(tx: Transaction, task: CompletedInRun, metrics: Record<string, unknown> = {}): void {
    actAsAgent(task.assigned_agent_id);
    tx.record(new TaskCompleted(task, TaskStatus.InProgress, task.attempt, metrics));
    tx.afterCommit(() => this.noteCompleted(task.assigned_agent_id));
  }

  private noteCompleted(agent_id: string): void {
    this.presence.note(agent_id);
    this.presence.noteFinished(agent_id);
  }
}

type Done<Row> = Result & { task: Row };

/** What both statements want first: tasks, leases, outputs, scores, and whether each task is to be shown. */
const valuesOf = (results: readonly Result[]): unknown[] => [
  results.map(({ task_id }) => task_id),
  results.map(({ dto }) => dto.lease_token),
  results.map(({ output }) => output),
  results.map(({ dto }) => dto.quality_score ?? null),
  results.map(({ is_shown }) => is_shown),
];

/** What closes the agents' books. */
const booksOf = (done: readonly Done<CompletedInRun>[]): unknown[] => [
  done.map(({ task }) => task.assigned_agent_id),
  done.map(({ task }) => task.id),
  done.map(({ task }) => task.seconds),
  done.map(({ dto }) => dto.quality_score ?? null),
];

/** As far as the request's record names it: the database has written all of it. */
const eventOf = ({ id: task_id, project_id, assigned_agent_id: agent_id }: CompletedTask) => ({
  type: TaskCompleted.type,
  task_id,
  project_id,
  agent_id,
  old_status: TaskStatus.InProgress,
  new_status: TaskStatus.Completed,
});

function doneOf<Row extends CompletedTask>(results: readonly Result[], rows: readonly Row[]): Done<Row>[] {
  const byId = new Map(rows.map((row) => [row.id, row]));
  return results.flatMap((result) => {
    const task = byId.get(result.task_id);
    return task?.ended_lease_token === result.dto.lease_token ? [{ ...result, task }] : [];
  });
}

function inOrderOf<Row>(results: readonly Result[], done: readonly Done<Row>[]): (Row | null)[] {
  const byResult = new Map(done.map(({ dto, task }) => [dto, task]));
  return results.map(({ dto }) => byResult.get(dto) ?? null);
}

/** As JSON. Throws InvalidInput when it is too large. */
function outputOf({ output = null }: CompleteTaskDto): string {
  const text = JSON.stringify(output);
  if (Buffer.byteLength(text) <= MAX_OUTPUT_BYTES) return text;
  throw new InvalidInput([{ pointer: '/output', detail: `must not be larger than ${MAX_OUTPUT_BYTES} bytes` }]);
}
