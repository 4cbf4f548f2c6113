import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * How many tasks with the same key may be in progress at once. A slot is a row that exists for as long as the lease of
 * its task: however that ends, the trigger removes it.
 */
export class LimitConcurrency1760000800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE tasks ADD COLUMN concurrency_key text, ADD COLUMN concurrency_limit integer;
      CREATE INDEX ix_tasks__concurrency_key ON tasks (concurrency_key, ready_at)
        WHERE concurrency_key IS NOT NULL AND status = 'pending' AND ready_at IS NOT NULL;

      CREATE TABLE concurrency_slots (
        key text NOT NULL,
        number integer NOT NULL,
        task_id uuid NOT NULL,
        CONSTRAINT pk_concurrency_slots__key__number PRIMARY KEY (key, number)
      );
      CREATE INDEX ix_concurrency_slots__task_id ON concurrency_slots (task_id);

      CREATE FUNCTION free_concurrency_slot() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        DELETE FROM concurrency_slots WHERE task_id = OLD.id;
        RETURN NULL;
      END $$;
      CREATE TRIGGER tr_tasks__free_slot AFTER UPDATE OF lease_token ON tasks FOR EACH ROW
        WHEN (OLD.concurrency_key IS NOT NULL AND OLD.lease_token IS NOT NULL AND NEW.lease_token IS NULL)
        EXECUTE FUNCTION free_concurrency_slot();
      CREATE TRIGGER tr_tasks__free_slot_of_deleted AFTER DELETE ON tasks FOR EACH ROW
        WHEN (OLD.concurrency_key IS NOT NULL) EXECUTE FUNCTION free_concurrency_slot();`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TRIGGER tr_tasks__free_slot ON tasks;
      DROP TRIGGER tr_tasks__free_slot_of_deleted ON tasks;
      DROP FUNCTION free_concurrency_slot();
      DROP TABLE concurrency_slots;
      ALTER TABLE tasks DROP COLUMN concurrency_key, DROP COLUMN concurrency_limit;`);
  }
}
