import { Injectable } from '@nestjs/common';
import { isUUID } from 'class-validator';
import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { LRUCache } from 'lru-cache';
import { createHash } from 'node:crypto';
import { NotAllowed } from '../platform/access/access.errors.js';
import { isOver, type Principal, Role } from '../platform/access/principal.js';
import { Environment } from '../platform/config/environment.js';
import { IdentityProviderAway } from './auth.errors.js';

const MOST_KNOWN = 10_000;
/** So long a token is believed without a look at the issuer's keys, which may be withdrawn. */
const FRESH_MS = 60_000;
const ANSWER_WITHIN_MS = 5_000;
const CLOCK_TOLERANCE_SECONDS = 5;
/** The strongest wins where a token names several. */
const STRONGEST_FIRST = [Role.Admin, Role.Operator, Role.Viewer, Role.Agent];
/** Failures of the way to the issuer, not of the token. */
const AWAY = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC']);

/** Proves JSON Web Tokens of the issuer at OIDC_ISSUER. */
@Injectable()
export class Oidc {
  private readonly known = new LRUCache<string, Principal>({ max: MOST_KNOWN, ttl: FRESH_MS });
  private keys: Promise<JWTVerifyGetKey> | null = null;

  constructor(private readonly environment: Environment) {}

  /** Whose token it is, if that is known already; else null. */
  recall(token: string): Principal | null {
    const known = this.known.get(digestOf(token));
    return known === undefined || isOver(known) ? null : known;
  }

  /** Null: it is none of the issuer's, or over. Throws NotAllowed when it gives no role here. */
  async prove(token: string): Promise<Principal | null> {
    if (this.environment.OIDC_ISSUER === '') return null;
    const payload = await this.verify(token);
    if (!payload) return null;
    const principal = this.principalOf(payload);
    this.known.set(digestOf(token), principal);
    return principal;
  }

  private async verify(token: string): Promise<JWTPayload | null> {
    const { OIDC_ISSUER: issuer, OIDC_AUDIENCE: audience, oidc_algorithms: algorithms } = this.environment;
    const keys = await this.keySet();
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
      });
      return payload;
    } catch (error) {
      if (error instanceof errors.JOSEError && !AWAY.has(error.code)) return null;
      throw new IdentityProviderAway();
    }
  }

  /** Of OIDC_JWKS_URL, or where the issuer says that they are. What failed is tried again. */
  private keySet(): Promise<JWTVerifyGetKey> {
    this.keys ??= this.findKeys().catch((error: unknown) => {
      this.keys = null;
      throw error;
    });
    return this.keys;
  }

  private async findKeys(): Promise<JWTVerifyGetKey> {
    const { OIDC_JWKS_URL, OIDC_ISSUER } = this.environment;
    const url = OIDC_JWKS_URL === '' ? await discover(OIDC_ISSUER) : OIDC_JWKS_URL;
    return createRemoteJWKSet(new URL(url), { timeoutDuration: ANSWER_WITHIN_MS });
  }

  private principalOf(payload: JWTPayload): Principal {
    const { OIDC_ROLE_CLAIM, OIDC_PROJECT_CLAIM, OIDC_AGENT_CLAIM } = this.environment;
    const roles = [claimOf(payload, OIDC_ROLE_CLAIM)].flat();
    const role = STRONGEST_FIRST.find((one) => roles.includes(one));
    if (!role) throw new NotAllowed(`The token names no role of Flightdeck in its claim ${OIDC_ROLE_CLAIM}`);
    const name = [payload.name, payload.preferred_username, payload.sub].find((text) => typeof text === 'string');
    return {
      kind: 'token',
      id: payload.sub!,
      name: name as string,
      role,
      project_id: idOf(payload, OIDC_PROJECT_CLAIM),
      key_prefix: null,
      agent_id: role === Role.Agent ? idOf(payload, OIDC_AGENT_CLAIM) : null,
      expires_at: new Date(payload.exp! * 1000),
    };
  }
}

const digestOf = (token: string): string => createHash('sha256').update(token).digest('base64');

async function discover(issuer: string): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS), redirect: 'error' });
    const { issuer: named, jwks_uri } = (await answer.json()) as { issuer?: unknown; jwks_uri?: unknown };
    if (answer.ok && named === issuer && typeof jwks_uri === 'string' && URL.canParse(jwks_uri)) return jwks_uri;
  } catch {
    // As what is no configuration.
  }
  throw new IdentityProviderAway();
}

/** `a.b` is `b` within `a`, where there is no claim of the whole name. */
function claimOf(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  return name.split('.').reduce<unknown>((value, part) => {
    const isObject = typeof value === 'object' && value !== null && Object.hasOwn(value, part);
    return isObject ? (value as Record<string, unknown>)[part] : undefined;
  }, payload);
}

/** Absent: null. What is there and no id must not open everything. */
function idOf(payload: JWTPayload, name: string): string | null {
  const value = claimOf(payload, name);
  if (value === undefined || value === null) return null;
  if (typeof value === 'string' && isUUID(value)) return value.toLowerCase();
  throw new NotAllowed(`The claim ${name} of the token is no id`);
}
