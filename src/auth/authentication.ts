import { Injectable, Logger } from '@nestjs/common';
import { CredentialRefused } from '../platform/access/access.errors.js';
import { Authenticator } from '../platform/access/authenticator.js';
import type { Principal } from '../platform/access/principal.js';
import { callerAt } from '../platform/limits/caller.js';
import { RateLimits } from '../platform/limits/rate-limits.js';
import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { FailedLogins } from './failed-logins.js';
import { KeyRing } from './key-ring.js';
import { parseKey } from './key-text.js';
import { KeyUsage } from './key-usage.js';
import { Oidc } from './oidc.js';

/** Tells whose credential it is: an API key, or a token of the OIDC issuer. */
@Injectable()
export class Authentication extends Authenticator {
  private readonly logger = new Logger('Access');

  constructor(
    private readonly ring: KeyRing,
    private readonly usage: KeyUsage,
    private readonly oidc: Oidc,
    private readonly failures: FailedLogins,
    private readonly limits: RateLimits,
  ) {
    super();
  }

  get refused(): number {
    return this.failures.total;
  }

  authenticate(token: string, address: string): Principal | Promise<Principal> {
    const key = parseKey(token);
    const principal = key ? this.ring.recall(key) : this.oidc.recall(token);
    if (!principal) return this.prove(token, address);
    if (key) this.usage.note(principal.id);
    return principal;
  }

  /** A key was changed: what this node knows of it is over, and what it has let in is to be looked at again. */
  @Live('api_key_*')
  forget({ type, data }: LoggedEvent): void {
    this.ring.forget(data.prefix as string);
    if (type !== 'api_key_created') this.tellChanged(data.key_id as string);
  }

  async recognise(token: string): Promise<Principal | null> {
    const key = parseKey(token);
    return key ? (this.ring.recall(key) ?? this.ring.prove(key)) : (this.oidc.recall(token) ?? this.oidc.prove(token));
  }

  private async prove(token: string, address: string): Promise<Principal> {
    const key = parseKey(token);
    const principal = key ? await this.ring.prove(key) : await this.oidc.prove(token);
    if (!principal) return this.refuse(address, key?.prefix ?? null);
    if (key) this.usage.note(principal.id);
    return principal;
  }

  private async refuse(address: string, prefix: string | null): Promise<never> {
    const failures = this.failures.count(address, prefix);
    // Only what has the form of a key is named: anything else may be a password that was pasted into the wrong place.
    const what = prefix === null ? 'a credential' : `the API key fd_${prefix}_***`;
    // The first, the second, the fourth, ...: who tries much must not fill the log.
    if (Number.isInteger(Math.log2(failures)))
      this.logger.warn(`Refused ${what} from ${address} (${failures} of late)`);
    await this.limits.spend('login', callerAt(address));
    await this.failures.slowDown(failures);
    throw new CredentialRefused();
  }
}
