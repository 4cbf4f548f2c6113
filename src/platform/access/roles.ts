import { Role } from './principal.js';

/** Each may do what those before it may. An agent is beside them: what it may do names it. */
const LADDER = [Role.Viewer, Role.Operator, Role.Admin];

/** A role, with those above it. */
const from = (role: Role): Role[] => (role === Role.Agent ? [role] : LADDER.slice(LADDER.indexOf(role)));

/** All that are let in where these are named, in the order of {@link Role}; an admin always is. */
export function rolesFrom(named: readonly Role[]): Role[] {
  const meant = new Set([...named.flatMap(from), Role.Admin]);
  return Object.values(Role).filter((role) => meant.has(role));
}
