import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AgentsModule } from '../agents/agents.module.js';
import { ProjectsModule } from '../projects/projects.module.js';
import { ConcurrencySlot } from './concurrency-slot.entity.js';
import { HeldLeases } from './held-leases.js';
import { LeaseWaiters } from './lease-waiters.js';
import { LeasesController } from './leases.controller.js';
import { NextReady } from './next-ready.js';
import { TaskCompletions } from './task-completions.js';
import { TaskDependencies } from './task-dependencies.js';
import { TaskDependency } from './task-dependency.entity.js';
import { TaskDispatch } from './task-dispatch.js';
import { TaskEditor } from './task-editor.js';
import { Task } from './task.entity.js';
import { TaskLifecycle } from './task-lifecycle.js';
import { TaskRemoval } from './task-removal.js';
import { TaskStore } from './task-store.js';
import { TasksController } from './tasks.controller.js';
import { TasksGateway } from './tasks.gateway.js';
import { TasksListener } from './tasks.listener.js';
import { TasksProcessor } from './tasks.processor.js';
import { TasksService } from './tasks.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([Task, TaskDependency, ConcurrencySlot]), AgentsModule, ProjectsModule],
  controllers: [LeasesController, TasksController],
  providers: [
    TasksService,
    TaskEditor,
    TaskStore,
    TaskLifecycle,
    TaskDependencies,
    TaskDispatch,
    TaskCompletions,
    HeldLeases,
    TaskRemoval,
    LeaseWaiters,
    NextReady,
    TasksListener,
    TasksProcessor,
    TasksGateway,
  ],
  exports: [TasksService, TaskLifecycle, TaskStore, TaskRemoval],
})
export class TasksModule {}
