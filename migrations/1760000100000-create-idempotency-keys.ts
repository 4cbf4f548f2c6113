import type { MigrationInterface, QueryRunner } from 'typeorm';

/** The answers to requests with an Idempotency-Key, kept so that a retry gets the same one. */
export class CreateIdempotencyKeys1760000100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE idempotency_keys (
        scope text NOT NULL,
        request_hash text NOT NULL,
        status integer NOT NULL,
        headers json NOT NULL,
        body text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_idempotency_keys PRIMARY KEY (scope)
      );
      CREATE INDEX ix_idempotency_keys__created_at ON idempotency_keys (created_at);`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE idempotency_keys');
  }
}
