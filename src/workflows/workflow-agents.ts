import { Injectable } from '@nestjs/common';
import type { Agent } from '../agents/agent.entity.js';
import { AgentsService } from '../agents/agents.service.js';
import { changesSince, snapshot } from '../platform/context/request-trace.js';
import { type Transaction, UnitOfWork } from '../platform/database/unit-of-work.js';
import { UnknownReference } from '../platform/errors/common.errors.js';
import { TaskStore } from '../tasks/task-store.js';
import type { AssignWorkflowAgentDto } from './dto/change-workflow.dto.js';
import { Workflow, type WorkflowRow } from './workflow.entity.js';
import { WorkflowAgent } from './workflow-agent.entity.js';
import { WorkflowAgentAssigned, WorkflowAgentRemoved } from './workflows.events.js';
import { WorkflowsService } from './workflows.service.js';

/** Who may do the tasks of a workflow: everybody, or only those that were assigned to it. */
@Injectable()
export class WorkflowAgents {
  constructor(
    private readonly unitOfWork: UnitOfWork,
    private readonly workflows: WorkflowsService,
    private readonly agents: AgentsService,
    private readonly taskStore: TaskStore,
  ) {}

  async assign(id: string, { agent_id, agent_name }: AssignWorkflowAgentDto): Promise<WorkflowRow> {
    const agent = await this.agents.find(agent_id);
    if (!agent) throw new UnknownReference('agent_id', agent_id, 'agent');
    return this.change(id, (tx, workflow) => this.add(tx, workflow, { id: agent.id, name: agent_name ?? agent.name }));
  }

  /** Absent is fine. */
  remove(id: string, agent_id: string): Promise<WorkflowRow> {
    return this.change(id, (tx, workflow) => this.takeOff(tx, workflow, agent_id));
  }

  private change(id: string, work: (tx: Transaction, workflow: Workflow) => Promise<void>): Promise<WorkflowRow> {
    return this.unitOfWork.run(async (tx) => {
      const workflow = await this.workflows.lock(tx, id);
      const before = await this.workflows.get(id);
      await work(tx, workflow);
      await this.restrictTasks(tx, id);
      const after = await this.workflows.get(id);
      tx.changed('workflow', id, changesSince(snapshot(before), after, ['assigned_agents']));
      return after;
    });
  }

  /** From now on only these. */
  async replace(tx: Transaction, workflow: Workflow, refs: readonly string[]): Promise<void> {
    const wanted = new Map<string, Agent>();
    for (const [index, ref] of refs.entries()) {
      const agent = await this.agents.find(ref);
      if (!agent) throw new UnknownReference(`assigned_agents/${index}`, ref, 'agent');
      wanted.set(agent.id, agent);
    }
    const present = await tx.manager.findBy(WorkflowAgent, { workflow_id: workflow.id });
    for (const { agent_id } of present) if (!wanted.delete(agent_id)) await this.takeOff(tx, workflow, agent_id);
    for (const agent of wanted.values()) await this.add(tx, workflow, agent);
    await this.restrictTasks(tx, workflow.id);
  }

  /** The agent is deleted: nobody waits for it. */
  async forget(tx: Transaction, agent_id: string): Promise<void> {
    const rows = await tx.manager.find(WorkflowAgent, { where: { agent_id }, order: { workflow_id: 'ASC' } });
    for (const { workflow_id } of rows) {
      await this.takeOff(tx, await this.workflows.lockAny(tx, workflow_id), agent_id);
      await this.restrictTasks(tx, workflow_id);
    }
  }

  private async add(
    tx: Transaction,
    workflow: Workflow,
    { id: agent_id, name: agent_name }: Pick<Agent, 'id' | 'name'>,
  ) {
    const row = { workflow_id: workflow.id, agent_id, agent_name };
    await tx.manager.upsert(WorkflowAgent, row, ['workflow_id', 'agent_id']);
    tx.record(new WorkflowAgentAssigned(workflow, agent_id, agent_name));
  }

  private async takeOff(tx: Transaction, workflow: Workflow, agent_id: string): Promise<void> {
    const { affected } = await tx.manager.delete(WorkflowAgent, { workflow_id: workflow.id, agent_id });
    if (affected) tx.record(new WorkflowAgentRemoved(workflow, agent_id));
  }

  private async restrictTasks(tx: Transaction, workflow_id: string): Promise<void> {
    // Before their tasks, as everybody does.
    const runs = await this.workflows.liveRuns(workflow_id);
    for (const { id } of runs.toSorted((a, b) => (a.id < b.id ? -1 : 1))) await this.taskStore.lockRun(id);
    await tx.manager.query(
      `UPDATE tasks SET updated_at = now(), allowed_agent_ids =
         (SELECT array_agg(agent_id) FROM workflow_agents WHERE workflow_id = $1)
       WHERE workflow_id = $1 AND status NOT IN ('completed', 'failed', 'cancelled', 'skipped')`,
      [workflow_id],
    );
  }
}
