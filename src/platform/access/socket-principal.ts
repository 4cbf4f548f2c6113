import type { Principal } from './principal.js';

interface WithData {
  data: { principal?: Principal };
}

/** Whose socket it is; null without authentication. */
export const principalOf = (socket: { data: unknown }): Principal | null => (socket as WithData).data.principal ?? null;

/** The project that the socket is bound to; null: it hears of all of them. */
export const scopeOf = (socket: { data: unknown }): string | null => principalOf(socket)?.project_id ?? null;

export const setPrincipal = (socket: { data: unknown }, principal: Principal): void => {
  (socket as WithData).data.principal = principal;
};
