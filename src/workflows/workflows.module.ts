import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AgentsModule } from '../agents/agents.module.js';
import { ProjectsModule } from '../projects/projects.module.js';
import { TasksModule } from '../tasks/tasks.module.js';
import { Definitions } from './definitions.js';
import { RunCreation } from './run-creation.js';
import { RunEnding } from './run-ending.js';
import { RunEngine } from './run-engine.js';
import { RunStateStore } from './run-state-store.js';
import { RunStep } from './run-step.entity.js';
import { RunTasks } from './run-tasks.js';
import { RunsController } from './runs.controller.js';
import { RunsService } from './runs.service.js';
import { TaskJoining } from './task-joining.js';
import { Workflow } from './workflow.entity.js';
import { WorkflowAgent } from './workflow-agent.entity.js';
import { WorkflowRun } from './workflow-run.entity.js';
import { WorkflowAgents } from './workflow-agents.js';
import { WorkflowsController } from './workflows.controller.js';
import { WorkflowsGateway } from './workflows.gateway.js';
import { WorkflowsListener } from './workflows.listener.js';
import { WorkflowsProcessor } from './workflows.processor.js';
import { WorkflowSchedules } from './workflow-schedules.js';
import { WorkflowsService } from './workflows.service.js';

@Module({
  imports: [
    TypeOrmModule.forFeature([Workflow, WorkflowAgent, WorkflowRun, RunStep]),
    AgentsModule,
    ProjectsModule,
    TasksModule,
  ],
  controllers: [WorkflowsController, RunsController],
  providers: [
    Definitions,
    WorkflowsService,
    WorkflowAgents,
    WorkflowSchedules,
    RunsService,
    RunCreation,
    RunEngine,
    RunEnding,
    RunTasks,
    RunStateStore,
    TaskJoining,
    WorkflowsListener,
    WorkflowsProcessor,
    WorkflowsGateway,
  ],
  exports: [WorkflowsService, RunsService],
})
export class WorkflowsModule {}
