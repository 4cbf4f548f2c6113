import { Injectable } from '@nestjs/common';
import { isUUID } from 'class-validator';
import { changesSince, snapshot } from '../platform/context/request-trace.js';
import { NotAllowed } from '../platform/access/access.errors.js';
import { isAgent, mayActFor } from '../platform/access/own-agent.js';
import {
  addVisible,
  assertStays,
  owns,
  ownRows,
  placeOf,
  projectScope,
  sees,
  visibleIn,
} from '../platform/access/scope.js';
import { violatedConstraint } from '../platform/database/database-error.js';
import { Database, statement } from '../platform/database/database.js';
import { Filters } from '../platform/database/filters.js';
import { listRows, type Sort } from '../platform/database/list-rows.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { InvalidInput } from '../platform/errors/common.errors.js';
import type { Page } from '../platform/http/page.js';
import { ProjectsService } from '../projects/projects.service.js';
import { agentConfiguration, agentType, changesOf } from './agent-input.js';
import { successRate, uptimePercentage } from './agent-metrics.js';
import { AgentStatus } from './agent-status.js';
import { Agent } from './agent.entity.js';
import { AgentExists, AgentNotFound } from './agents.errors.js';
import { AgentCreated, AgentDeleted, AgentMetricsUpdated, AgentStatusUpdated, AgentUpdated } from './agents.events.js';
import type { AgentMetricsDto } from './dto/agent-metrics.dto.js';
import type { AgentSummaryResponse } from './dto/agent.response.js';
import type { CreateAgentDto } from './dto/create-agent.dto.js';
import { AgentSort, type ListAgentsQuery } from './dto/list-agents.query.js';
import type { UpdateAgentStatusDto } from './dto/update-agent-status.dto.js';
import type { UpdateAgentDto } from './dto/update-agent.dto.js';

const SORTS: Record<AgentSort, Sort> = {
  name: { expression: 'a.name', type: 'text' },
  status: { expression: 'a.status', type: 'text' },
  created_at: { expression: 'a.created_at', type: 'timestamptz' },
  updated_at: { expression: 'a.updated_at', type: 'timestamptz' },
};

const BECOME_IDLE = statement(
  'agent_becomes_idle',
  `UPDATE agents SET status = 'idle', updated_at = now()
   WHERE id = $1 AND status = 'busy' AND held_tasks = 0 RETURNING *`,
);

/** What requests set, and not what dispatch and presence find out. */
const SET_BY_REQUESTS = [
  'key',
  'name',
  'type',
  'status',
  'description',
  'runner',
  'configuration',
  'max_concurrent_tasks',
  'project_id',
  'tags',
  'metadata',
  'is_draining',
  'current_task_id',
  'current_task_title',
  'tasks_completed',
  'tasks_failed',
  'avg_response_time',
  'quality_score',
  'improvement',
  'processing_time_ms',
  'error_count',
  'uptime_override',
] as const satisfies readonly (keyof Agent)[];

/** Registers agents and keeps what is known of them. Whether they are there is the business of AgentPresence. */
@Injectable()
export class AgentsService {
  constructor(
    private readonly database: Database,
    private readonly unitOfWork: UnitOfWork,
    private readonly projects: ProjectsService,
  ) {}

  list(query: ListAgentsQuery): Promise<Page<Agent>> {
    const filters = new Filters()
      .add('a.status = ?', query.status)
      .add('a.type = ?', agentType(query))
      .add(`(a.status <> 'offline') = ?`, query.is_active)
      .add('a.tags && ?::text[]', query.tags)
      .add('a.project_id = ?', query.project_id)
      .addSearch('a.name', query.search);
    return listRows<Agent & Record<string, unknown>>(this.database, {
      from: 'agents a',
      alias: 'a',
      columns: 'a.*',
      filters: addVisible(filters, 'a.project_id'),
      sorts: SORTS,
      sort_by: query.sort_by ?? AgentSort.CreatedAt,
      query,
    });
  }

  /** By id or key. */
  async get(ref: string): Promise<Agent> {
    const agent = await this.find(ref);
    if (!agent || !mayActFor(agent.id)) throw new AgentNotFound(ref);
    return agent;
  }

  /** An id needs no look: whoever uses it finds out whether it exists. To an agent there is none but itself. */
  async resolveId(ref: string): Promise<string> {
    if (!isUUID(ref)) return (await this.get(ref)).id;
    const id = ref.toLowerCase();
    if (!mayActFor(id)) throw new AgentNotFound(ref);
    return id;
  }

  /** Null: there is none that the caller may see. */
  async find(ref: string): Promise<Agent | null> {
    const agent = await this.database.manager.findOneBy(Agent, isUUID(ref) ? { id: ref } : { key: ref });
    return agent && sees(agent) ? agent : null;
  }

  async create(dto: CreateAgentDto): Promise<Agent> {
    const type = agentType(dto);
    if (type === undefined) throw new InvalidInput([{ pointer: '/type', detail: 'is required' }]);
    const project_id = placeOf(dto.project_id);
    await this.projects.assertExists(project_id);
    return this.unlessTaken(dto, () =>
      this.unitOfWork.run(async (tx) => {
        const configuration = agentConfiguration(dto, {});
        const agent = Object.assign(new Agent(), columnsOf(dto), { type, project_id, configuration });
        await tx.manager.save(agent);
        tx.record(new AgentCreated(agent.id, agent.project_id, agent.name, type, agent.status));
        return agent;
      }),
    );
  }

  async update(ref: string, dto: UpdateAgentDto): Promise<Agent> {
    if (Object.keys(dto).length === 0) return this.get(ref);
    const type = agentType(dto);
    assertStays(dto.project_id);
    await this.projects.assertExists(dto.project_id);
    return this.unlessTaken(dto, () =>
      this.change(ref, (agent, tx) => {
        assertKeepsPlace(agent, { project_id: dto.project_id, type });
        // What it works on is of the project that it leaves.
        const hasMoved = dto.project_id !== undefined && dto.project_id !== agent.project_id;
        if (hasMoved) Object.assign(agent, { current_task_id: null, current_task_title: null });
        const old_status = agent.status;
        const { status = old_status, ...columns } = columnsOf(dto);
        Object.assign(agent, columns, type !== undefined && { type }, {
          configuration: agentConfiguration(dto, agent.configuration),
        });
        if (status !== old_status) agent.become(status);
        tx.record(new AgentUpdated(agent.id, agent.project_id, changesOf(dto)));
        if (agent.status !== old_status) tx.record(statusUpdated(agent, old_status));
      }),
    );
  }

  setStatus(ref: string, { status, ...task }: Partial<UpdateAgentStatusDto>): Promise<Agent> {
    return this.change(ref, (agent, tx) => {
      const old_status = agent.status;
      agent.become(status ?? old_status);
      Object.assign(agent, task);
      // The title belongs to the task: a new or no task without a title has none.
      if (task.current_task_id !== undefined) agent.current_task_title = task.current_task_title ?? null;
      agent.last_activity = new Date();
      tx.record(statusUpdated(agent, old_status));
    });
  }

  setMetrics(ref: string, dto: AgentMetricsDto): Promise<Agent> {
    if (Object.keys(dto).length === 0) return this.get(ref);
    return this.change(ref, (agent, tx) => {
      const { uptime_percentage, ...metrics } = dto;
      Object.assign(agent, metrics, uptime_percentage !== undefined && { uptime_override: uptime_percentage });
      const told = { ...metrics, ...(uptime_percentage !== undefined && { uptime_percentage }) };
      tx.record(new AgentMetricsUpdated(agent.id, agent.project_id, { ...told, success_rate: successRate(agent) }));
    });
  }

  setDraining(ref: string, is_draining: boolean): Promise<Agent> {
    return this.change(ref, (agent, tx) => {
      if (agent.is_draining === is_draining) return;
      agent.is_draining = is_draining;
      tx.record(new AgentUpdated(agent.id, agent.project_id, { is_draining }));
    });
  }

  async delete(ref: string): Promise<void> {
    const agent = await this.get(ref);
    if (!owns(agent)) throw new AgentNotFound(ref);
    const { id, project_id, name } = agent;
    // Seen by every lease that begins from now on: none is given after its tasks were taken back.
    await this.database.query('UPDATE agents SET is_draining = true WHERE id = $1', [id]);
    await this.unitOfWork.run(async (tx) => {
      // First the tasks, then the agent: the order in which all of dispatch locks them.
      await tx.announce(new AgentDeleted(id, project_id, name));
      const { affected } = await tx.manager.delete(Agent, { id });
      if (affected === 0) throw new AgentNotFound(ref);
    });
  }

  /** Asks the agent, with its next heartbeat, to stop a task. For dispatch. */
  async requestCancel(tx: Transaction, agent_id: string, task_id: string): Promise<void> {
    await tx.manager.query(
      `UPDATE agents SET cancel_requested = array_append(array_remove(cancel_requested, $2), $2) WHERE id = $1`,
      [agent_id, task_id],
    );
  }

  /** Busy no longer: it asked for work and there was none, or it holds nothing. For dispatch. */
  async noteIdle(id: string): Promise<void> {
    await this.unitOfWork.run(async (tx) => {
      const [agent] = await this.database.query<Agent & Record<string, unknown>>(BECOME_IDLE, [id]);
      if (agent) tx.record(statusUpdated(agent, AgentStatus.Busy));
    });
  }

  /** Those of them that hold nothing, and have done and said nothing since. */
  async idleBusyOnes(ids: readonly string[], after_seconds: number): Promise<void> {
    const rows = await this.database.query<{ id: string }>(
      `SELECT id FROM agents WHERE id = ANY ($1::uuid[])
         AND status = 'busy' AND held_tasks = 0 AND last_activity < now() - make_interval(secs => $2)`,
      [ids, after_seconds],
    );
    for (const { id } of rows) await this.noteIdle(id);
  }

  async deleteOfProject(tx: Transaction, project_id: string): Promise<void> {
    const agents = await tx.manager.findBy(Agent, { project_id });
    await tx.manager.delete(Agent, { project_id });
    // Heard at the end: until then those above decide whether the project may go at all.
    for (const { id, name } of agents) tx.record(new AgentDeleted(id, project_id, name));
  }

  async summarise(): Promise<AgentSummaryResponse> {
    type Row = Pick<Agent, 'status' | 'tasks_completed' | 'tasks_failed' | 'avg_response_time'> &
      Parameters<typeof uptimePercentage>[0] &
      Record<string, unknown>;
    const rows = await this.database.query<Row>(
      `SELECT status, tasks_completed, tasks_failed, avg_response_time, uptime_override, first_seen_at, online_since,
              online_seconds FROM agents WHERE ${visibleIn('project_id', '$1')}`,
      [projectScope()],
    );
    const finished = rows.filter(({ tasks_completed, tasks_failed }) => tasks_completed + tasks_failed > 0);
    const by_status = Object.fromEntries(Object.values(AgentStatus).map((status) => [status, 0])) as Record<
      AgentStatus,
      number
    >;
    for (const { status } of rows) by_status[status]++;
    return {
      total: rows.length,
      by_status,
      avg_success_rate: average(finished.map(successRate)),
      avg_response_time: average(finished.map(({ avg_response_time }) => avg_response_time)),
      avg_uptime: average(rows.map((row) => uptimePercentage(row))),
    };
  }

  /** Locks the agent, changes it and saves it. */
  private change(ref: string, work: (agent: Agent, tx: Transaction) => void): Promise<Agent> {
    return this.unitOfWork.run(async (tx) => {
      const where = { ...(isUUID(ref) ? { id: ref } : { key: ref }), ...ownRows() };
      const agent = await tx.manager.findOne(Agent, { where, lock: { mode: 'for_no_key_update' } });
      if (!agent || !mayActFor(agent.id)) throw new AgentNotFound(ref);
      const before = snapshot(agent);
      work(agent, tx);
      tx.changed('agent', agent.id, changesSince(before, agent, SET_BY_REQUESTS));
      agent.touch();
      return tx.manager.save(agent);
    });
  }

  private async unlessTaken<T>(dto: UpdateAgentDto, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const constraint = violatedConstraint(error);
      if (constraint === 'uq_agents__name__type') throw new AgentExists('this name and type');
      if (constraint === 'uq_agents__key') throw new AgentExists(`the key ${dto.key}`);
      throw error;
    }
  }
}

/** An agent says what it can, not where it belongs: its project and type decide whose work it gets. */
function assertKeepsPlace(agent: Agent, { project_id, type }: { project_id?: string | null; type?: string }): void {
  if (!isAgent()) return;
  const stays = project_id === undefined || project_id === agent.project_id;
  if (!stays || (type !== undefined && type !== agent.type))
    throw new NotAllowed('An agent may not change its project or its type: an operator does');
}

const average = (values: number[]): number =>
  values.length === 0 ? 0 : Math.round((values.reduce((sum, value) => sum + value, 0) / values.length) * 100) / 100;

type Shown = Pick<Agent, 'id' | 'project_id' | 'status' | 'current_task_id' | 'current_task_title'>;

export const statusUpdated = (agent: Shown, old_status: AgentStatus): AgentStatusUpdated =>
  new AgentStatusUpdated(
    agent.id,
    agent.project_id,
    old_status,
    agent.status,
    agent.current_task_id === null ? null : { id: agent.current_task_id, title: agent.current_task_title },
  );

/** The fields of the body that are columns of the same name. */
function columnsOf(dto: UpdateAgentDto): Partial<Agent> {
  const { type: _type, agent_type: _alias, configuration: _configuration, model: _model, tools: _tools, ...rest } = dto;
  const { capabilities: _capabilities, ...columns } = rest;
  return columns;
}
