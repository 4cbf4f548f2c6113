import { Injectable } from '@nestjs/common';
import { addVisible } from '../access/scope.js';
import { Database } from '../database/database.js';
import { Filters } from '../database/filters.js';
import { listRows } from '../database/list-rows.js';
import type { Page, PageQuery } from '../http/page.js';
import type { LoggedEvent } from './logged-event.js';

/** Looks back into the log, newest first. */
@Injectable()
export class EventHistory {
  constructor(private readonly database: Database) {}

  ofTask(task_id: string, query: PageQuery): Promise<Page<LoggedEvent>> {
    return listRows<LoggedEvent & Record<string, unknown>>(this.database, {
      from: 'events e',
      alias: 'e',
      columns: 'e.*, e.txid::text AS txid',
      // What it was while it belonged to another project, is that one's.
      filters: addVisible(new Filters().add('e.task_id = ?', task_id), 'e.project_id'),
      sorts: { seq: { expression: 'e.seq', type: 'bigint' } },
      sort_by: 'seq',
      query,
    });
  }
}
