import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { isUUID } from 'class-validator';
import { mayActFor } from '../platform/access/own-agent.js';
import { owns } from '../platform/access/scope.js';
import { Environment } from '../platform/config/environment.js';
import { Database, statement } from '../platform/database/database.js';
import { UnitOfWork } from '../platform/database/unit-of-work.js';
import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { AgentStatus } from './agent-status.js';
import { Agent } from './agent.entity.js';
import { AgentNotFound } from './agents.errors.js';
import { AgentsService, statusUpdated } from './agents.service.js';
import type { AgentMetricsDto } from './dto/agent-metrics.dto.js';
import type { HeartbeatDto } from './dto/heartbeat.dto.js';

const FLUSH_EVERY_MS = 1_000;
/** A busy agent usually asks for the next task at once. */
const IDLE_AFTER_MS = 2_000;

const KNOWN = `id, project_id, status, current_task_id, cancel_requested, tasks_completed, tasks_failed, avg_response_time,
  uptime_override AS uptime_percentage, quality_score, improvement, processing_time_ms, error_count`;
const FIND = {
  byId: statement('find_agent_by_id', `SELECT ${KNOWN} FROM agents WHERE id = $1`),
  byKey: statement('find_agent_by_key', `SELECT ${KNOWN} FROM agents WHERE key = $1`),
};

/** Signs of life of many agents in one statement; their age is told, so that only the database's clock counts. */
const FLUSH = statement(
  'flush_signs_of_life',
  `WITH seen AS (
     SELECT id, age, is_heartbeat, clock_timestamp() - make_interval(secs => age) AS at
     FROM unnest($1::uuid[], $2::float8[], $3::bool[]) AS s (id, age, is_heartbeat)
   ), locked AS MATERIALIZED (
     -- In one order on every node, so that two flushes cannot deadlock.
     SELECT id FROM agents WHERE id IN (SELECT id FROM seen) ORDER BY id FOR NO KEY UPDATE
   )
   UPDATE agents a
   SET last_seen_at = greatest(a.last_seen_at, seen.at),
       last_heartbeat = CASE WHEN seen.is_heartbeat THEN seen.at ELSE a.last_heartbeat END,
       first_seen_at = coalesce(a.first_seen_at, seen.at),
       online_since = CASE WHEN a.status <> 'offline' THEN coalesce(a.online_since, seen.at) END
   FROM seen JOIN locked USING (id)
   WHERE a.id = seen.id
   RETURNING a.id, a.status = 'offline' AND a.last_seen_at = seen.at AND seen.age < $4 AS is_back`,
);

const SWEEP = `
  WITH silent AS (
    SELECT id, status AS old_status, last_seen_at, online_since FROM agents
    WHERE status <> 'offline' AND last_seen_at < now() - make_interval(secs => $1)
    FOR NO KEY UPDATE SKIP LOCKED)
  UPDATE agents a
  SET status = 'offline', updated_at = now(), online_since = NULL,
      online_seconds = a.online_seconds
        + greatest(0, coalesce(extract(epoch FROM silent.last_seen_at - silent.online_since), 0))
  FROM silent WHERE a.id = silent.id
  RETURNING a.id, a.project_id, silent.old_status, a.current_task_id, a.current_task_title`;

type Known = Required<AgentMetricsDto> &
  Pick<Agent, 'id' | 'project_id' | 'status' | 'current_task_id' | 'cancel_requested'>;

interface Sign {
  at: number;
  is_heartbeat: boolean;
}

/** Knows which agents are there. Signs of life are kept in memory and written once a second, all in one statement. */
@Injectable()
export class AgentPresence implements OnModuleDestroy {
  private readonly logger = new Logger(AgentPresence.name);
  private readonly startedAt = performance.now();
  private signs = new Map<string, Sign>();
  /** Who may have nothing to do any more, and since when. */
  private readonly finished = new Map<string, number>();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly environment: Environment,
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly agents: AgentsService,
  ) {}

  /** The agent is alive; answers what it is asked to stop. Throws AgentNotFound. What it repeats is not written. */
  async heartbeat(ref: string, { status, current_task_id, metrics = {} }: HeartbeatDto): Promise<string[]> {
    const agent = await this.know(ref);
    if (status !== AgentStatus.Offline) this.note(agent.id, true);
    if (status === undefined && agent.status === AgentStatus.Offline) await this.comeBack(agent.id);
    const news = {
      ...(status !== undefined && status !== agent.status && { status }),
      ...(current_task_id !== undefined && current_task_id !== agent.current_task_id && { current_task_id }),
    };
    if (Object.keys(news).length > 0) await this.agents.setStatus(agent.id, news);
    // The event that says so may come late, when an earlier transaction holds it back.
    if (status === AgentStatus.Offline) this.signs.delete(agent.id);
    const names = Object.keys(metrics) as (keyof AgentMetricsDto)[];
    if (names.some((name) => metrics[name] !== agent[name])) await this.agents.setMetrics(agent.id, metrics);
    return agent.cancel_requested;
  }

  /** A sign of life: kept in memory, written soon. */
  note(agent_id: string, is_heartbeat = false): void {
    const known = this.signs.get(agent_id);
    this.signs.set(agent_id, { at: performance.now(), is_heartbeat: is_heartbeat || (known?.is_heartbeat ?? false) });
    this.tickSoon();
  }

  /** It ended a lease: unless it takes another soon, or says what it is, it is idle. */
  noteFinished(agent_id: string): void {
    this.finished.set(agent_id, performance.now());
    this.tickSoon();
  }

  /** It waits for work and has none: the same, from when it began to. */
  noteWaiting(agent_id: string): void {
    if (!this.finished.has(agent_id)) this.noteFinished(agent_id);
  }

  /** An agent that was offline shows itself again: its time online begins anew. */
  async comeBack(agent_id: string): Promise<void> {
    await this.unitOfWork.run(async (tx) => {
      const agent = await tx.manager.findOne(Agent, { where: { id: agent_id }, lock: { mode: 'for_no_key_update' } });
      if (agent?.status !== AgentStatus.Offline) return;
      agent.last_seen_at ??= new Date();
      agent.first_seen_at ??= agent.last_seen_at;
      agent.become(agent.held_tasks > 0 ? AgentStatus.Busy : AgentStatus.Idle);
      agent.touch();
      await tx.manager.save(agent);
      tx.record(statusUpdated(agent, AgentStatus.Offline));
    });
  }

  /** Marks as offline who has been silent for too long. Not right after a start: they could not reach us before. */
  async sweep(): Promise<number> {
    const silence = this.environment.AGENT_OFFLINE_AFTER_SECONDS;
    if (performance.now() - this.startedAt < silence * 1000) return 0;
    await this.flush();
    return this.unitOfWork.run(async (tx) => {
      type Row = Pick<Agent, 'id' | 'project_id' | 'current_task_id' | 'current_task_title'> & {
        old_status: AgentStatus;
      };
      const [rows] = (await tx.manager.query(SWEEP, [silence])) as [Row[], number];
      for (const { old_status, ...row } of rows) {
        tx.record(statusUpdated({ ...row, status: AgentStatus.Offline }, old_status));
      }
      return rows.length;
    });
  }

  /**
   * What it showed before somebody said that it is offline must not bring it back. A sign that the sweep did not know of
   * must: by the time this is heard, the agent may have shown itself again.
   */
  @Live('agent_status_updated')
  forget({ agent_id, source, data }: LoggedEvent): void {
    const wasSaid = source !== 'scheduler';
    if (agent_id && wasSaid && data.new_status === AgentStatus.Offline) this.signs.delete(agent_id);
  }

  async onModuleDestroy(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    await this.flush();
  }

  private async know(ref: string): Promise<Known> {
    const [agent] = await this.database.query<Known & Record<string, unknown>>(isUUID(ref) ? FIND.byId : FIND.byKey, [
      ref,
    ]);
    if (!agent || !mayActFor(agent.id) || !owns(agent)) throw new AgentNotFound(ref);
    return agent;
  }

  private tickSoon(): void {
    this.timer ??= setTimeout(() => void this.tick(), FLUSH_EVERY_MS);
  }

  private async tick(): Promise<void> {
    this.timer = null;
    await this.flush();
    await this.idleFinished();
    if (this.signs.size > 0 || this.finished.size > 0) this.tickSoon();
  }

  private async flush(): Promise<void> {
    if (this.signs.size === 0) return;
    const signs = this.signs;
    this.signs = new Map();
    const now = performance.now();
    const ids = [...signs.keys()];
    const ages = ids.map((id) => (now - signs.get(id)!.at) / 1000);
    const areHeartbeats = ids.map((id) => signs.get(id)!.is_heartbeat);
    // It may have waited here for as long as this is done.
    const freshSeconds = this.environment.AGENT_OFFLINE_AFTER_SECONDS + FLUSH_EVERY_MS / 1000;
    const values = [ids, ages, areHeartbeats, freshSeconds];
    try {
      const rows = await this.database.query<{ id: string; is_back: boolean }>(FLUSH, values);
      for (const { id, is_back } of rows) if (is_back) await this.comeBack(id);
    } catch (error) {
      this.logger.warn(`Signs of life of ${ids.length} agents could not be written: ${(error as Error).message}`);
      for (const [id, sign] of signs) if (!this.signs.has(id)) this.signs.set(id, sign);
    }
  }

  private async idleFinished(): Promise<void> {
    const now = performance.now();
    const due = [...this.finished].filter(([, at]) => now - at >= IDLE_AFTER_MS).map(([id]) => id);
    if (due.length === 0) return;
    for (const id of due) this.finished.delete(id);
    try {
      await this.agents.idleBusyOnes(due, IDLE_AFTER_MS / 1000);
    } catch (error) {
      this.logger.warn(`${due.length} agents could not be marked as idle: ${(error as Error).message}`);
    }
  }
}
