import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The ready tasks by type of agent, for the metrics, are read from this index alone. */
export class CountReadyTasksByType1760000700000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP INDEX ix_tasks__ready_at;
      CREATE INDEX ix_tasks__ready_at ON tasks (ready_at) INCLUDE (agent_type)
        WHERE status = 'pending' AND ready_at IS NOT NULL;`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP INDEX ix_tasks__ready_at;
      CREATE INDEX ix_tasks__ready_at ON tasks (ready_at) WHERE status = 'pending' AND ready_at IS NOT NULL;`);
  }
}
