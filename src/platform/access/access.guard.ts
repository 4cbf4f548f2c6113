import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Socket } from 'socket.io';
import { Environment } from '../config/environment.js';
import { actAs } from '../context/request-context.js';
import { RateLimits } from '../limits/rate-limits.js';
import { accessOf, type AccessRule } from './access.decorator.js';
import { CredentialMissing, NotAllowed } from './access.errors.js';
import { Authenticator } from './authenticator.js';
import { credentialOf } from './credential.js';
import type { Principal } from './principal.js';
import { principalOf } from './socket-principal.js';

/** Lets in whom the handler names, for requests and socket messages alike. What names nobody is closed. */
@Injectable()
export class AccessGuard implements CanActivate {
  private readonly is_required: boolean;

  constructor(
    environment: Environment,
    private readonly authenticator: Authenticator,
    private readonly limits: RateLimits,
  ) {
    this.is_required = environment.requires_authentication;
  }

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const rule = accessOf(context.getHandler(), context.getClass());
    if (rule === undefined) throw new NotAllowed('Nothing says who may do this, so nobody may');
    if (rule === 'public' || !this.is_required) return true;
    if (context.getType() === 'ws') return admit(principalOf(context.switchToWs().getClient<Socket>()), rule);
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const token = credentialOf(request.headers);
    if (token === null) return this.refuseNameless(request);
    const principal = this.authenticator.authenticate(token, request.ip);
    return principal instanceof Promise
      ? principal.then((known) => admitRequest(known, rule))
      : admitRequest(principal, rule);
  }

  /** Limits come after access, and so would not count it. Throws RateLimited, CredentialMissing. */
  private async refuseNameless(request: FastifyRequest): Promise<never> {
    await this.limits.spendByAddress(request);
    throw new CredentialMissing();
  }
}

/** Also who is refused is named: in the log, and where refusals are recorded. */
function admitRequest(principal: Principal, rule: AccessRule): true {
  actAs(principal);
  return admit(principal, rule);
}

function admit(principal: Principal | null, rule: AccessRule): true {
  if (principal === null) throw new CredentialMissing();
  if (rule === 'public' || rule.has(principal.role)) return true;
  throw new NotAllowed(`The role ${principal.role} may not do this`);
}
