import type { Principal } from './principal.js';

interface WithData {
  data: { principal?: Principal };
}

/** Whose socket it is; null without authentication. */
export const principalOf = (socket: { data: unknown }): Principal | null => (socket as WithData).data.principal ?? null;

export const setPrincipal = (socket: { data: unknown }, principal: Principal): void => {
  (socket as WithData).data.principal = principal;
};
