import type { Principal } from './principal.js';

/** Tells whose credential it is. The platform asks; a domain knows. */
export abstract class Authenticator {
  private readonly listeners = new Set<(principal_id: string) => void>();

  /**
   * At once, without a promise, when it is known already. Throws CredentialRefused.
   * @param address where the caller is, by which failures are counted
   */
  abstract authenticate(token: string, address: string): Principal | Promise<Principal>;

  /** Called when the credentials of a principal were changed or revoked: what it was allowed before is to be asked anew. */
  onChanged(listener: (principal_id: string) => void): void {
    this.listeners.add(listener);
  }

  protected tellChanged(principal_id: string): void {
    for (const listener of this.listeners) listener(principal_id);
  }
}
