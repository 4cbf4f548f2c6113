import { Injectable, Logger } from '@nestjs/common';
import { CredentialRefused } from '../platform/access/access.errors.js';
import { Authenticator } from '../platform/access/authenticator.js';
import type { Principal } from '../platform/access/principal.js';
import { Live } from '../platform/events/handlers.js';
import type { LoggedEvent } from '../platform/events/logged-event.js';
import { FailedLogins } from './failed-logins.js';
import { KeyRing } from './key-ring.js';
import { parseKey } from './key-text.js';
import { KeyUsage } from './key-usage.js';

/** Tells whose credential it is: an API key. */
@Injectable()
export class Authentication extends Authenticator {
  private readonly logger = new Logger('Access');

  constructor(
    private readonly ring: KeyRing,
    private readonly usage: KeyUsage,
    private readonly failures: FailedLogins,
  ) {
    super();
  }

  authenticate(token: string, address: string): Principal | Promise<Principal> {
    const key = parseKey(token);
    const principal = key && this.ring.recall(key);
    if (!principal) return this.prove(token, address);
    this.usage.note(principal.id);
    return principal;
  }

  /** A key was changed: what this node knows of it is over, and what it has let in is to be looked at again. */
  @Live('api_key_*')
  forget({ type, data }: LoggedEvent): void {
    this.ring.forget(data.prefix as string);
    if (type !== 'api_key_created') this.tellChanged(data.key_id as string);
  }

  private async prove(token: string, address: string): Promise<Principal> {
    const key = parseKey(token);
    const principal = key && (await this.ring.prove(key));
    if (principal) {
      this.usage.note(principal.id);
      return principal;
    }
    // Only what has the form of a key is named: anything else may be a password that was pasted into the wrong place.
    const what = key ? `the API key fd_${key.prefix}_***` : 'a credential that is no API key';
    this.logger.warn(`Refused ${what} from ${address}`);
    await this.failures.slowDown(address, key?.prefix ?? null);
    throw new CredentialRefused();
  }
}
