import { currentContext } from '../context/request-context.js';
import type { Filters } from '../database/filters.js';
import { InvalidInput, UnknownReference } from '../errors/common.errors.js';

/** What belongs to a project, or (null) to none. */
interface Owned {
  project_id: string | null;
}

/** The project to which the caller's credential is bound; null: it sees all of them, as does the server's own work. */
export function projectScope(): string | null {
  return currentContext().principal?.project_id ?? null;
}

/** Whether the caller may change it: what belongs to no project is only read by those who are bound to one. */
export function owns({ project_id }: Owned): boolean {
  const scope = projectScope();
  return scope === null || project_id === scope;
}

/** Whether the caller may read it: what is its own, and what belongs to no project. */
export const sees = (thing: Owned): boolean => thing.project_id === null || owns(thing);

/** For TypeORM's `where`: only what the caller may change, so that nothing else is read, locked or waited for. */
export function ownRows(): { project_id?: string } {
  const project_id = projectScope();
  return project_id === null ? {} : { project_id };
}

/** Of a list only what the caller may read; `column` says whose project each row is. */
export const addVisible = (filters: Filters, column: string): Filters =>
  filters.add(`(${column} IS NULL OR ${column} = ?)`, projectScope() ?? undefined);

/** The same in a statement that is written out; `parameter` is {@link projectScope}. */
export const visibleIn = (column: string, parameter: string): string =>
  `(${parameter}::uuid IS NULL OR ${column} IS NULL OR ${column} = ${parameter}::uuid)`;

/**
 * The project of something new: the caller's own unless it says another. Throws UnknownReference: to those who are bound
 * to a project there is no other.
 */
export function placeOf(project_id: string | null | undefined): string | null {
  const place = project_id ?? projectScope();
  if (place !== null && !owns({ project_id: place })) throw new UnknownReference('project_id', place, 'project');
  return place;
}

/** A change of the project, in a body: who is bound to one can give away nothing of it. */
export function assertStays(project_id: string | null | undefined): void {
  if (project_id === undefined || owns({ project_id })) return;
  if (project_id !== null) throw new UnknownReference('project_id', project_id, 'project');
  throw new InvalidInput([{ pointer: '/project_id', detail: 'cannot be taken away with a credential of the project' }]);
}
