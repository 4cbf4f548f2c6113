import { Injectable } from '@nestjs/common';
import { projectScope } from '../platform/access/scope.js';
import { Database } from '../platform/database/database.js';
import { Filters } from '../platform/database/filters.js';
import { listRows, type Sort } from '../platform/database/list-rows.js';
import type { Page } from '../platform/http/page.js';
import { type AuditRecord, RequestHandled } from './audit.events.js';
import { AuditSort, type ListAuditQuery } from './dto/list-audit.query.js';

const SORTS: Record<AuditSort, Sort> = {
  created_at: { expression: 'e.created_at', type: 'timestamptz' },
};

/** The indexes have these expressions. */
const subject = (name: string): string => `e.data -> 'subjects' ->> '${name}' = ?`;

/** Looks back at who asked for what, and how that ended. */
@Injectable()
export class AuditService {
  constructor(private readonly database: Database) {}

  list(query: ListAuditQuery): Promise<Page<AuditRecord>> {
    const filters = new Filters()
      .addConstant(`e.type = '${RequestHandled.type}'`)
      .add('e.actor_id = ?', query.actor_id)
      .add(`e.data ->> 'method' = ?`, query.method)
      .add(`e.data ->> 'route' = ?`, query.route)
      .add(`(e.data ->> 'status')::int = ?`, query.status)
      .add(`left(e.data ->> 'status', 1) || 'xx' = ?`, query.status_class)
      .add(`e.metadata ->> 'request_id' = ?`, query.request_id)
      .add('e.created_at >= ?', query.since)
      .add('e.created_at < ?', query.until)
      .add(subject('project_id'), query.project_id)
      // Who sees one project only, sees only what is known to be about it.
      .add(subject('project_id'), projectScope() ?? undefined)
      .add(subject('agent_id'), query.agent_id)
      .add(subject('task_id'), query.task_id)
      .add(subject('workflow_id'), query.workflow_id)
      .add(subject('run_id'), query.run_id);
    return listRows<AuditRecord & Record<string, unknown>>(this.database, {
      from: 'events e',
      alias: 'e',
      columns: 'e.*, e.txid::text AS txid',
      filters,
      sorts: SORTS,
      sort_by: query.sort_by ?? AuditSort.CreatedAt,
      query,
    });
  }
}
