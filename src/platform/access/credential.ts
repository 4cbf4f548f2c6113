import type { IncomingHttpHeaders } from 'node:http';

const BEARER = /^bearer +([^\s]+) *$/i;

/** The key or token that a request carries: `Authorization: Bearer ...`, or `X-API-Key`; null: none. */
export function credentialOf({ authorization, 'x-api-key': key }: IncomingHttpHeaders): string | null {
  // An Authorization of another kind is no credential of ours.
  const bearer = authorization === undefined ? undefined : BEARER.exec(authorization)?.[1];
  if (bearer !== undefined) return bearer;
  return typeof key === 'string' && key !== '' ? key : null;
}
