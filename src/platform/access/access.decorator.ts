import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiExtension, ApiSecurity } from '@nestjs/swagger';
import { ApiErrors } from '../http/api.decorators.js';
import type { Role } from './principal.js';
import { rolesFrom } from './roles.js';

const ACCESS = 'access';
const ROLES_EXTENSION = 'x-roles';

/** As they are called in the OpenAPI document. */
export const SECURITY_SCHEMES = { bearer: 'bearer', api_key: 'api_key' };

/** Who may call a handler: anybody, or some roles. */
export type AccessRule = 'public' | ReadonlySet<Role>;

/**
 * Lets the role in and those above it: `@Access(Role.Viewer)` also operators and admins. An agent is let in only where it
 * is named: `@Access(Role.Operator, Role.Agent)`. Every handler needs this or {@link Public}: one without is refused.
 */
export function Access(...roles: [Role, ...Role[]]): ClassDecorator & MethodDecorator {
  const allowed = rolesFrom(roles);
  return applyDecorators(
    SetMetadata(ACCESS, new Set(allowed)),
    ApiSecurity(SECURITY_SCHEMES.bearer),
    ApiSecurity(SECURITY_SCHEMES.api_key),
    ApiExtension(ROLES_EXTENSION, allowed),
    ApiErrors('unauthenticated', 'forbidden'),
  );
}

/** Lets everybody in, without a credential: for what tells nothing about anybody's work. */
export const Public = (): ClassDecorator & MethodDecorator =>
  applyDecorators(SetMetadata(ACCESS, 'public'), ApiExtension(ROLES_EXTENSION, ['public']));

/** What a handler declares, or all of its class; undefined: nothing, so nobody may call it. */
export const accessOf = (handler: object, owner: object): AccessRule | undefined =>
  (Reflect.getMetadata(ACCESS, handler) ?? Reflect.getMetadata(ACCESS, owner)) as AccessRule | undefined;
