import { statement } from '../platform/database/database.js';
import { insertEvents } from '../platform/events/event-rows.js';
import type { Task } from './task.entity.js';
import { AGENT_NAME, TASK_JSON } from './task-json.js';

/** A task as the API shows it. */
export type TaskRow = Omit<Task, 'project' | 'assertCanMove' | 'prepare' | 'touch'> & {
  dependencies: string[];
  dependents: string[];
  assigned_agent_name: string | null;
};

/** A task that was leased just now, as its agent sees it. */
export interface LeasedTask {
  id: string;
  project_id: string | null;
  lease_token: string;
  lease_expires_at: Date;
  attempt: number;
  /** Its run, its workflow or other tasks have to hear of its end. */
  is_in_company: boolean;
  json: string;
}

/** A task that was completed just now. */
export type CompletedTask = Pick<Task, 'id' | 'project_id' | 'ended_lease_token'> & {
  assigned_agent_id: string;
  /** As clients see it, if that is wanted. */
  json: string | null;
};

/** With what its event and its agent's books need. */
export type CompletedInRun = CompletedTask &
  Pick<
    Task,
    'workflow_id' | 'run_id' | 'step_key' | 'title' | 'status' | 'progress_percentage' | 'concurrency_key' | 'attempt'
  > & { seconds: number };

/** The columns of {@link TaskRow}, from a row source with alias `t`. */
export const TASK_COLUMNS = `t.*,
  ARRAY(SELECT d.dependency_id FROM task_dependencies d WHERE d.task_id = t.id ORDER BY 1) AS dependencies,
  CASE WHEN t.has_dependents
    THEN ARRAY(SELECT d.task_id FROM task_dependencies d WHERE d.dependency_id = t.id ORDER BY 1)
    ELSE '{}' END AS dependents,
  ${AGENT_NAME} AS assigned_agent_name`;

export const GET_TASK = statement('get_task', `SELECT ${TASK_COLUMNS} FROM tasks t WHERE t.id = $1`);

export const GET_TASKS_JSON = statement(
  'get_tasks_json',
  `SELECT t.id, t.project_id, ${TASK_JSON} AS json FROM tasks t WHERE t.id = ANY ($1::uuid[])`,
);

/** The tasks of one run change one after the other: whatever ends one of them may start, hold or cancel the others. */
export const RUN_LOCK = (run_id: string): string => `pg_advisory_xact_lock(hashtextextended(${run_id}::text, 0))`;

/** When a pending task may be leased; only the database's clock counts. */
export const READY_AT = `CASE WHEN status = 'pending' AND NOT is_held THEN greatest(now(), scheduled_at) END`;

const INSERTED = `
  id, project_id, workflow_id, run_id, step_key, item_index, title, description, instructions, task_type, status,
  priority, agent_type, assigned_agent_id, assignment_is_fixed, allowed_agent_ids, required_capabilities, input,
  tags, metadata, unmet_dependencies, has_dependents, is_held, concurrency_key,
  concurrency_limit, attempt, max_attempts, retry, timeout_seconds,
  scheduled_at, progress_percentage, subtasks_completed, subtasks_total, estimated_duration_minutes, quality_score,
  complexity_score, effort_points, due_date, is_urgent, requires_review, cancel_requested, created_by`;

const insertTasks = (returned: string): string => `
  INSERT INTO tasks (${INSERTED}, ready_at, created_at, updated_at)
  SELECT ${INSERTED}, ${READY_AT}, now(), now() FROM json_populate_recordset(NULL::tasks, $1::json)
  RETURNING ${returned}`;

/** $1: a JSON list of tasks. */
export const INSERT_TASKS = statement('insert_tasks', insertTasks('id, ready_at, created_at, updated_at'));

/** The same with their events ($2, see `eventRow`) in one statement: the hot path of creation. */
export const CREATE_TASKS = statement(
  'create_tasks',
  `WITH created AS (${insertTasks('*')}), logged AS (${insertEvents('$2')})
   SELECT t.id, ${TASK_JSON} AS json FROM created t`,
);

/** An event row about the task `alias`, as its class in `tasks.events.ts` would make it. */
const taskEvent = (type: string, alias: string, more: string, agent: string = `${alias}.assigned_agent_id`): string => `
  '${type}', 'agent', 'info', 'agent', ${agent}::text, ${alias}.project_id, ${agent}, ${alias}.id, ${alias}.workflow_id,
  ${alias}.run_id,
  jsonb_build_object('task_id', ${alias}.id, 'project_id', ${alias}.project_id, 'workflow_id', ${alias}.workflow_id,
    'run_id', ${alias}.run_id, 'agent_id', ${agent}, 'step_key', ${alias}.step_key, 'title', ${alias}.title,
    'concurrency_key', ${alias}.concurrency_key,
    'new_status', ${alias}.status, 'progress', ${alias}.progress_percentage, 'attempt', ${alias}.attempt, ${more})`;

const EVENT_COLUMNS = `type, source, severity, actor_type, actor_id, project_id, agent_id, task_id, workflow_id, run_id,
  data, metadata, id`;

/** Agents may set their own counters, so a counter stays at the most that it holds: no lease must fail to end by it. */
const raised = (counter: string, by: string): string => `least(a.${counter}::bigint + e.${by}, 2147483647)::integer`;

/**
 * The agents' side of leases that end: their slots, current tasks and metrics. `ended` is a row source with, per agent,
 * its ended leases: `ids` of the tasks, how many were `completed`, `failed` (for good) and `missed` (failed or to be
 * tried again), the `seconds` from lease to completion of all completed ones and of the `newest`, and at most one
 * `score`. The average is the running mean over completed tasks; the quality score (0-10) moves a fifth of the way to
 * that of each scored task.
 */
function endOfLeases(ended: string): string {
  const score = '(e.score / 10)';
  return `
    UPDATE agents a
    SET held_tasks = greatest(0, a.held_tasks - cardinality(e.ids)),
        cancel_requested = CASE WHEN a.cancel_requested && e.ids
          THEN ARRAY(SELECT c.id FROM unnest(a.cancel_requested) AS c (id) WHERE c.id <> ALL (e.ids))
          ELSE a.cancel_requested END,
        (current_task_id, current_task_title) = (
          SELECT n.id, n.title FROM (
            SELECT 1 AS rank, a.current_task_id AS id, a.current_task_title AS title, now() AS started_at
            WHERE NOT coalesce(a.current_task_id = ANY (e.ids), false)
            UNION ALL
            (SELECT 2, o.id, o.title, o.started_at FROM tasks o
             WHERE a.current_task_id = ANY (e.ids) AND a.held_tasks > cardinality(e.ids)
               AND o.assigned_agent_id = a.id AND o.lease_token IS NOT NULL AND o.status = 'in_progress'
               AND o.id <> ALL (e.ids) AND (a.project_id IS NULL OR o.project_id = a.project_id)
             ORDER BY o.started_at DESC LIMIT 1)
          ) AS n ORDER BY rank LIMIT 1),
        tasks_completed = ${raised('tasks_completed', 'completed')},
        tasks_failed = ${raised('tasks_failed', 'failed')},
        error_count = ${raised('error_count', 'missed')},
        avg_response_time = CASE WHEN e.completed > 0
          THEN (a.avg_response_time * a.tasks_completed + e.seconds) / (a.tasks_completed::bigint + e.completed)
          ELSE a.avg_response_time END,
        processing_time_ms = CASE WHEN e.completed > 0 THEN e.newest * 1000 ELSE a.processing_time_ms END,
        improvement = CASE WHEN e.completed > 0 AND ${score} IS NOT NULL AND a.quality_score IS NOT NULL
          THEN (${score} - a.quality_score) * 0.2 ELSE a.improvement END,
        quality_score = CASE WHEN e.completed > 0 AND ${score} IS NOT NULL
          THEN coalesce(a.quality_score * 0.8 + ${score} * 0.2, ${score}) ELSE a.quality_score END,
        last_activity = now()
    FROM (${ended}) AS e WHERE a.id = e.agent_id`;
}

/** Rows looked at beyond those wanted: others may be taking the first ones at this moment. */
const SPARE_CANDIDATES = 32;
/** Stands for "no project", after all others; the index has the same expression. */
const NO_PROJECT = `'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid`;
const BEFORE_ALL = `'00000000-0000-0000-0000-000000000000'::uuid`;
const PROJECT = `coalesce(t.project_id, ${NO_PROJECT})`;

/** How many slots of the task's concurrency key are taken. */
const TAKEN_SLOTS = '(SELECT count(*) FROM concurrency_slots s WHERE s.key = t.concurrency_key)';
export const HAS_SLOT = `(t.concurrency_key IS NULL OR t.concurrency_limit > ${TAKEN_SLOTS})`;

/** What agent `me` may be given from a lane, between two projects in the order of turns. */
const leasable = (low: string, high: string): string => `
  coalesce(t.assigned_agent_id::text, t.agent_type, '*') = lane.name
  AND t.priority = wanted_priority
  -- A type may be written like another lane.
  AND t.assigned_agent_id IS NOT DISTINCT FROM lane.agent_id
  AND (lane.agent_id IS NOT NULL OR t.agent_type IS NOT DISTINCT FROM lane.agent_type)
  AND t.status = 'pending' AND t.ready_at IS NOT NULL AND t.ready_at <= now()
  AND ${PROJECT} > ${low} AND ${PROJECT} <= ${high}
  AND (me.project_id IS NULL OR t.project_id = me.project_id)
  AND t.required_capabilities <@ me.capabilities
  AND (t.allowed_agent_ids IS NULL OR me.id = ANY (t.allowed_agent_ids))
  AND ${HAS_SLOT}`;

const CANDIDATE = `t.id, t.priority, t.ready_at, ${PROJECT} AS project, t.concurrency_key,
  CASE WHEN t.concurrency_key IS NOT NULL THEN t.concurrency_limit - ${TAKEN_SLOTS} END AS free_slots`;

const LANES = `
  CROSS JOIN LATERAL (VALUES (me.id::text, me.id, NULL), (me.type, NULL, me.type), ('*', NULL, NULL))
    AS lane (name, agent_id, agent_type)
  CROSS JOIN unnest(enum_range(NULL::task_priority)) AS wanted_priority`;

/** First the projects after the last one that was served, then those up to it. */
const PASSES = `(VALUES (1, $4::uuid, ${NO_PROJECT}), (2, ${BEFORE_ALL}, $4::uuid)) AS pass (n, low, high)`;

const found = (low: string, high: string): string => `
  SELECT ${CANDIDATE} FROM tasks t WHERE ${leasable(low, high)}
  ORDER BY ${PROJECT}, t.ready_at, t.id LIMIT least($2::int, me.free_slots) + ${SPARE_CANDIDATES}`;

/** The first ones in the order of turns: all that one task needs. */
const NEXT_TASKS = `
  SELECT found.*, pass.n AS pass FROM me ${LANES} CROSS JOIN ${PASSES}
  CROSS JOIN LATERAL (${found('pass.low', 'pass.high')}) AS found WHERE me.free_slots > 0`;

/** For several tasks also the first ones of each project: the first project alone could have enough for all. */
const NEXT_OF_EACH_PROJECT = `
  SELECT found.*, turn.pass FROM me ${LANES} CROSS JOIN ${PASSES}
  CROSS JOIN LATERAL (
    WITH RECURSIVE turns AS (
      SELECT 1 AS place, next.project FROM (
        SELECT ${PROJECT} AS project FROM tasks t WHERE ${leasable('pass.low', 'pass.high')} ORDER BY 1 LIMIT 1) AS next
      UNION ALL
      SELECT turns.place + 1, next.project FROM turns CROSS JOIN LATERAL (
        SELECT ${PROJECT} AS project FROM tasks t WHERE ${leasable('turns.project', 'pass.high')} ORDER BY 1 LIMIT 1) AS next
      WHERE turns.place < least($2::int, me.free_slots))
    SELECT turns.project, pass.n AS pass FROM turns) AS turn
  CROSS JOIN LATERAL (
    SELECT ${CANDIDATE} FROM tasks t
    WHERE ${leasable(BEFORE_ALL, NO_PROJECT)} AND ${PROJECT} = turn.project
    ORDER BY t.ready_at, t.id LIMIT least($2::int, me.free_slots)) AS found
  WHERE me.free_slots > 0`;

/**
 * Leases up to $2 tasks to agent $1 for $3 seconds. The agent's row is locked first, so that its slots are counted
 * right; then come, by priority, the lanes that it may take from (its own, its type's, anyone's), beginning with the
 * project after $4: projects take turns, task by task. Rows that others are taking are passed over, not waited for.
 * $5: tokens, $6: event ids, both one per task and one event more for the agent; $7: the events' metadata; $8: the
 * project that the caller is bound to, if any: it acts for no agent of others.
 */
const leasing = (candidates: string): string => `
   WITH me AS (
     SELECT a.id, a.type, a.status, a.project_id, a.is_draining,
            CASE WHEN a.is_draining THEN 0 ELSE greatest(0, a.max_concurrent_tasks - a.held_tasks) END AS free_slots,
            ARRAY(SELECT json_array_elements_text(a.configuration -> 'capabilities')) AS capabilities
     FROM agents a WHERE a.id = $1 AND ($8::uuid IS NULL OR a.project_id = $8) FOR NO KEY UPDATE
   ), candidates AS (
     SELECT c.id, c.concurrency_key,
            row_number() OVER (ORDER BY c.priority DESC, c.turn, c.pass, c.project, c.ready_at, c.id) AS place
     FROM (
       SELECT found.*,
              row_number() OVER (PARTITION BY found.priority, found.project ORDER BY found.ready_at, found.id) AS turn,
              row_number() OVER (PARTITION BY found.concurrency_key
                                 ORDER BY found.priority DESC, found.ready_at, found.id) AS of_key
       FROM (${candidates}) AS found) AS c
     WHERE c.concurrency_key IS NULL OR c.of_key <= c.free_slots
   ), picked AS (
     SELECT t.*, row_number() OVER () AS n
     FROM (
       -- One candidate after the other, until there are enough: a plain join could read all that is ready.
       SELECT t.* FROM (SELECT id FROM candidates ORDER BY place) AS c
       CROSS JOIN LATERAL (
         SELECT t.id, t.concurrency_key, t.concurrency_limit FROM tasks t
         WHERE t.id = c.id AND t.status = 'pending' AND t.ready_at <= now() FOR UPDATE SKIP LOCKED
       ) AS t
       LIMIT (SELECT least($2::int, me.free_slots) FROM me)
     ) AS t
   ), slots AS (
     -- Two leases at once may choose the same number: then one of them has no slot, and tries again. So they choose in
     -- an order of their own.
     INSERT INTO concurrency_slots (key, number, task_id)
     SELECT p.concurrency_key, free.number, p.id
     FROM (SELECT picked.*, row_number() OVER (PARTITION BY concurrency_key ORDER BY n) AS of_key
           FROM picked WHERE concurrency_key IS NOT NULL) AS p
     CROSS JOIN LATERAL (
       SELECT f.number FROM generate_series(1, p.concurrency_limit) AS f (number)
       WHERE NOT EXISTS (SELECT FROM concurrency_slots s WHERE s.key = p.concurrency_key AND s.number = f.number)
       ORDER BY hashtext(f.number::text || ($5::uuid[])[1]::text), f.number
       OFFSET p.of_key - 1 LIMIT 1
     ) AS free
     ORDER BY p.concurrency_key, free.number
     ON CONFLICT DO NOTHING
     RETURNING task_id
   ), leased AS (
     UPDATE tasks t
     SET status = 'in_progress', attempt = t.attempt + 1, assigned_agent_id = $1, cancel_requested = false,
         lease_token = ($5::uuid[])[picked.n],
         deadline_at = now() + make_interval(secs => t.timeout_seconds),
         lease_expires_at = least(now() + make_interval(secs => $3), now() + make_interval(secs => t.timeout_seconds)),
         started_at = now(), updated_at = now(), error = NULL
     FROM picked
     WHERE t.id = picked.id
       AND (picked.concurrency_key IS NULL OR EXISTS (SELECT FROM slots WHERE slots.task_id = picked.id))
     RETURNING t.*, picked.n
   ), agent AS (
     UPDATE agents a
     SET held_tasks = a.held_tasks + taken.count, status = 'busy', last_seen_at = now(), last_activity = now(),
         first_seen_at = coalesce(a.first_seen_at, now()), online_since = coalesce(a.online_since, now()),
         current_task_id = taken.newest_id, current_task_title = taken.newest_title
     FROM (SELECT count(*)::int AS count, (array_agg(l.id ORDER BY l.n DESC))[1] AS newest_id,
                  (array_agg(l.title ORDER BY l.n DESC))[1] AS newest_title FROM leased l) AS taken
     WHERE a.id = $1 AND taken.count > 0
     RETURNING a.id, a.project_id, a.current_task_id, a.current_task_title
   ), logged AS (
     INSERT INTO events (${EVENT_COLUMNS})
     SELECT ${taskEvent('task_started', 'l', `'old_status', 'pending'`)}, $7::jsonb, ($6::uuid[])[l.n] FROM leased l
     UNION ALL
     SELECT 'agent_status_updated', 'agent', 'info', 'agent', a.id::text, a.project_id, a.id, NULL, NULL, NULL,
       jsonb_build_object('agent_id', a.id, 'project_id', a.project_id, 'old_status', me.status, 'new_status', 'busy',
         'status', 'busy', 'current_task', jsonb_build_object('id', a.current_task_id, 'title', a.current_task_title)),
       $7::jsonb, ($6::uuid[])[$2::int + 1]
     FROM agent a, me WHERE me.status <> 'busy'
   )
   SELECT me.id AS agent_id, me.type AS my_type, me.status AS my_status, me.project_id AS my_project_id,
          me.is_draining AS my_draining, me.capabilities AS my_capabilities, me.free_slots AS my_free_slots,
          (SELECT count(*) FROM leased) < (SELECT count(*) FROM candidates c WHERE c.concurrency_key IS NOT NULL)
            AS is_contended,
          EXISTS (SELECT FROM candidates) AND NOT EXISTS (SELECT FROM picked) AS is_passed_over,
          t.id, t.project_id, t.lease_token, t.lease_expires_at, t.attempt,
          (t.run_id IS NOT NULL OR t.workflow_id IS NOT NULL OR t.has_dependents) AS is_in_company,
          CASE WHEN t.id IS NOT NULL THEN ${TASK_JSON} END AS json
   FROM me LEFT JOIN leased t ON true
   ORDER BY t.n`;

export const LEASE = statement('lease_task', leasing(NEXT_TASKS));
export const LEASE_SEVERAL = statement('lease_tasks', leasing(`${NEXT_TASKS} UNION ${NEXT_OF_EACH_PROJECT}`));

/** Ends leases with the results in row source `result`. */
const completing = (result: string): string => `
  done AS (
    UPDATE tasks t
    SET status = 'completed', output = result.output, quality_score = coalesce(result.quality_score, t.quality_score),
        error = NULL, progress_percentage = 100, completed_at = now(), updated_at = now(),
        actual_duration_minutes = extract(epoch FROM now() - t.started_at) / 60,
        lease_token = NULL, ended_lease_token = result.lease_token, lease_expires_at = NULL, deadline_at = NULL,
        cancel_requested = false
    FROM (${result}) AS result
    WHERE t.id = result.task_id AND t.lease_token = result.lease_token AND t.status = 'in_progress'
      AND (t.deadline_at IS NULL OR t.deadline_at > now()) AND NOT t.has_dependents
    RETURNING t.*, result.quality_score AS score, result.is_shown, result.event_id, result.metrics,
      result.event_metadata
  )`;

/** The columns of {@link CompletedTask}, from row source `t`. */
const COMPLETED = `t.id, t.project_id, t.ended_lease_token, t.assigned_agent_id, CASE WHEN t.is_shown THEN ${TASK_JSON} END AS json`;

/** Closes the agents' books on completed tasks: row source `done` has `agent_id`, `id`, `seconds` and `score`. */
const endOfCompletions = (done: string): string =>
  endOfLeases(`
    SELECT d.agent_id, array_agg(d.id) AS ids, count(*)::int AS completed, 0 AS failed, 0 AS missed,
      sum(d.seconds) AS seconds, min(d.seconds) AS newest, max(d.score) AS score
    FROM (${done}) AS d GROUP BY d.agent_id`);

/**
 * Completes tasks of which nobody but the agents has to hear: no run, no dependents. Lists of the same length: $1 tasks,
 * $2 leases, $3 outputs, $4 quality scores (one per agent at most), $5 whether it is shown, $6 event ids, $7 metrics and
 * $8 metadata of the events. A task without a row needs another way, which also tells why.
 */
export const COMPLETE = statement(
  'complete_tasks',
  `WITH ${completing(
    `SELECT given.*
     FROM unnest($1::uuid[], $2::uuid[], $3::json[], $4::float8[], $5::boolean[], $6::uuid[], $7::jsonb[], $8::jsonb[])
       AS given (task_id, lease_token, output, quality_score, is_shown, event_id, metrics, event_metadata)
     -- One whose row, or agent's row, somebody is changing goes the other way, and only its agent waits.
     CROSS JOIN LATERAL (
       SELECT FROM tasks t JOIN agents a ON a.id = t.assigned_agent_id
       WHERE t.id = given.task_id AND t.lease_token = given.lease_token
         AND t.workflow_id IS NULL AND t.run_id IS NULL AND NOT t.has_dependents
       FOR NO KEY UPDATE SKIP LOCKED
     ) AS free`,
  )}, agent AS (${endOfCompletions(`
     SELECT assigned_agent_id AS agent_id, id, extract(epoch FROM now() - started_at)::float8 AS seconds, score FROM done`)}
   ), logged AS (
     INSERT INTO events (${EVENT_COLUMNS})
     SELECT ${taskEvent('task_completed', 'd', `'old_status', 'in_progress', 'metrics', d.metrics`)}, d.event_metadata,
       d.event_id
     FROM done d
   )
   SELECT ${COMPLETED} FROM done t`,
);

/** Completes tasks of runs, which are locked before them; their events and their agents' books are the caller's. $1-$5 as above. */
export const COMPLETE_IN_RUNS = statement(
  'complete_tasks_of_runs',
  `WITH locked AS MATERIALIZED (
     SELECT ${RUN_LOCK('run_id')} FROM (
       SELECT DISTINCT t.run_id FROM unnest($1::uuid[]) AS given (id)
       CROSS JOIN LATERAL (SELECT t.run_id FROM tasks t WHERE t.id = given.id LIMIT 1) AS t
       WHERE t.run_id IS NOT NULL ORDER BY t.run_id) AS runs
   ), ${completing(
     `SELECT given.*, NULL::uuid AS event_id, NULL::jsonb AS metrics, NULL::jsonb AS event_metadata
      FROM unnest($1::uuid[], $2::uuid[], $3::json[], $4::float8[], $5::boolean[])
        AS given (task_id, lease_token, output, quality_score, is_shown)
      CROSS JOIN (SELECT count(*) FROM locked) AS run`,
   )}
   SELECT ${COMPLETED}, t.workflow_id, t.run_id, t.step_key, t.title, t.status, t.progress_percentage,
     t.concurrency_key, t.attempt, extract(epoch FROM now() - t.started_at)::float8 AS seconds
   FROM done t`,
);

/**
 * Closes the agents' books on completed tasks. Lists of the same length: $1 agents, $2 tasks, $3 seconds they took, $4
 * quality scores (one per agent at most).
 */
export const END_OF_COMPLETIONS = statement(
  'end_of_completions',
  `WITH locked AS MATERIALIZED (
     SELECT id FROM agents WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
   ) ${endOfCompletions(
     `SELECT given.* FROM unnest($1::uuid[], $2::uuid[], $3::float8[], $4::float8[])
        AS given (agent_id, id, seconds, score) JOIN locked ON locked.id = given.agent_id`,
   )}`,
);

/** Renews lease $2 of task $1 for $3 seconds, and notes the progress $4 if given; else nothing changes that is shown. */
export const RENEW_LEASE = statement(
  'renew_lease',
  `UPDATE tasks t
   SET lease_expires_at = least(now() + make_interval(secs => $3), t.deadline_at),
       updated_at = CASE WHEN $4::float8 IS NULL THEN t.updated_at ELSE now() END,
       progress_percentage = coalesce($4::float8, t.progress_percentage)
   WHERE t.id = $1 AND t.lease_token = $2 AND t.status = 'in_progress' AND (t.deadline_at IS NULL OR t.deadline_at > now())
   RETURNING t.*`,
);

/** How a lease ended, for the agent's metrics. */
export type LeaseOutcome = 'completed' | 'failed' | 'retried' | 'returned';

/** Closes the books of agent $1 on a lease that ended. $2: task, $3: outcome, $4: quality score, $5: seconds it took. */
export const END_OF_LEASE = statement(
  'end_of_lease',
  endOfLeases(`
    SELECT $1::uuid AS agent_id, ARRAY[$2::uuid] AS ids, ($3::text = 'completed')::int AS completed,
      ($3::text = 'failed')::int AS failed, ($3::text IN ('failed', 'retried'))::int AS missed, $5::float8 AS seconds,
      $5::float8 AS newest, $4::float8 AS score`),
);

/** Remembers that its holder ended lease $2 of task $1. */
export const REMEMBER_LEASE = statement(
  'remember_ended_lease',
  `WITH t AS (UPDATE tasks SET ended_lease_token = $2 WHERE id = $1 RETURNING *) SELECT ${TASK_COLUMNS} FROM t`,
);
