import type { MigrationInterface, QueryRunner } from 'typeorm';

export class CreateProjects1760000200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE projects (
        id uuid NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        name text NOT NULL,
        description text,
        status text NOT NULL,
        metadata json NOT NULL,
        CONSTRAINT pk_projects__id PRIMARY KEY (id)
      );
      CREATE INDEX ix_projects__created_at__id ON projects (created_at, id);`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE projects');
  }
}
