import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * For looking through the audit: by time, request, actor and what it is about. Partial, so that other events cost nothing.
 * Building them reads the log once, and nobody writes to it meanwhile; there are no such rows yet.
 */
export class IndexAuditedRequests1761000400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE INDEX ix_events__audit_created_at ON events (created_at, id) WHERE type = 'request_handled';
      CREATE INDEX ix_events__audit_request_id ON events ((metadata ->> 'request_id')) WHERE type = 'request_handled';
      CREATE INDEX ix_events__audit_actor_id ON events (actor_id, created_at, id)
        WHERE type = 'request_handled' AND actor_id IS NOT NULL;`);
    for (const subject of SUBJECTS) {
      await runner.query(`
        CREATE INDEX ix_events__audit_${subject} ON events ((data -> 'subjects' ->> '${subject}'), created_at, id)
          WHERE type = 'request_handled' AND data -> 'subjects' ->> '${subject}' IS NOT NULL;`);
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const name of ['created_at', 'request_id', 'actor_id', ...SUBJECTS]) {
      await runner.query(`DROP INDEX ix_events__audit_${name};`);
    }
  }
}

const SUBJECTS = ['project_id', 'agent_id', 'task_id', 'workflow_id', 'run_id'];
