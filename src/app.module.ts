import { type DynamicModule, Module } from '@nestjs/common';
import { AgentsModule } from './agents/agents.module.js';
import { AuditModule } from './audit/audit.module.js';
import { AuthModule } from './auth/auth.module.js';
import { MetricsModule } from './metrics/metrics.module.js';
import { AccessModule } from './platform/access/access.module.js';
import { CachingModule } from './platform/caching/caching.module.js';
import { ConfigModule } from './platform/config/config.module.js';
import type { Environment } from './platform/config/environment.js';
import { DatabaseModule } from './platform/database/database.module.js';
import type { DatabasePool } from './platform/database/database-pool.js';
import { EventsModule } from './platform/events/events.module.js';
import { HttpModule } from './platform/http/http.module.js';
import { LimitsModule } from './platform/limits/limits.module.js';
import { QueuesModule } from './platform/queues/queues.module.js';
import { SocketsModule } from './platform/sockets/sockets.module.js';
import { ProjectsModule } from './projects/projects.module.js';
import { RetentionModule } from './retention/retention.module.js';
import { SystemHealthModule } from './system-health/system-health.module.js';
import { TasksModule } from './tasks/tasks.module.js';
import { WorkflowsModule } from './workflows/workflows.module.js';

/** Modules that a test adds: consumers and handlers of its own. */
export type AppExtras = NonNullable<DynamicModule['imports']>;

/** The platform, then the domains: one line each, lower levels first. */
@Module({})
export class AppModule {
  static with(environment: Environment, pool: DatabasePool, extra: AppExtras = []): DynamicModule {
    return {
      module: AppModule,
      imports: [
        ConfigModule.with(environment),
        DatabaseModule.forRoot(pool),
        EventsModule,
        QueuesModule.forRoot(environment, pool),
        AccessModule,
        HttpModule,
        LimitsModule.forRoot(environment),
        CachingModule.forRoot(environment),
        SocketsModule,

        AuthModule,
        ProjectsModule,
        AgentsModule,
        TasksModule,
        WorkflowsModule,
        AuditModule,
        MetricsModule,
        RetentionModule,
        SystemHealthModule,
        ...extra,
      ],
    };
  }
}
