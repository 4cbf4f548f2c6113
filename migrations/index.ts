import { CreateEventLog1760000000000 } from './1760000000000-create-event-log.js';
import { CreateIdempotencyKeys1760000100000 } from './1760000100000-create-idempotency-keys.js';
import { CreateProjects1760000200000 } from './1760000200000-create-projects.js';
import { CreateAgents1760000300000 } from './1760000300000-create-agents.js';
import { CreateTasks1760000400000 } from './1760000400000-create-tasks.js';
import { CreateWorkflows1760000500000 } from './1760000500000-create-workflows.js';
import { LetTheLogSurviveARestore1760000600000 } from './1760000600000-let-the-log-survive-a-restore.js';
import { LimitConcurrency1760000800000 } from './1760000800000-limit-concurrency.js';
import { CreateApiKeys1761000000000 } from './1761000000000-create-api-keys.js';
import { IndexAuditedRequests1761000400000 } from './1761000400000-index-audited-requests.js';
import { IndexAuditByItsOwn1761000500000 } from './1761000500000-index-audit-by-its-own.js';

/** All migrations, oldest first. Two branches that add one conflict here, on purpose. */
export const migrations = [
  CreateEventLog1760000000000,
  CreateIdempotencyKeys1760000100000,
  CreateProjects1760000200000,
  CreateAgents1760000300000,
  CreateTasks1760000400000,
  CreateWorkflows1760000500000,
  LetTheLogSurviveARestore1760000600000,
  LimitConcurrency1760000800000,
  CreateApiKeys1761000000000,
  IndexAuditedRequests1761000400000,
  IndexAuditByItsOwn1761000500000,
];
