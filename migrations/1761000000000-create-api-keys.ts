import type { MigrationInterface, QueryRunner } from 'typeorm';

/** No foreign keys: a key that was revoked stays for the record when its project or agent is gone. */
export class CreateApiKeys1761000000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE api_keys (
        id uuid NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        prefix text NOT NULL,
        secret_hash text NOT NULL,
        previous_secret_hash text,
        previous_valid_until timestamptz,
        name text NOT NULL,
        role text NOT NULL,
        project_id uuid,
        agent_id uuid,
        expires_at timestamptz,
        last_used_at timestamptz,
        revoked_at timestamptz,
        CONSTRAINT pk_api_keys__id PRIMARY KEY (id)
      );
      CREATE UNIQUE INDEX ix_api_keys__prefix ON api_keys (prefix);
      CREATE INDEX ix_api_keys__created_at__id ON api_keys (created_at, id);
      CREATE INDEX ix_api_keys__agent_id ON api_keys (agent_id);`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE api_keys');
  }
}
