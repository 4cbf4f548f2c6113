import type { Principal } from './principal.js';

/** Tells whose credential it is. The platform asks; a domain knows. */
export abstract class Authenticator {
  private readonly listeners = new Set<(principal_id: string) => void>();

  /**
   * At once, without a promise, when it is known already. Throws CredentialRefused.
   * @param address where the caller is, by which failures are counted
   */
  abstract authenticate(token: string, address: string): Principal | Promise<Principal>;

  /** The same without consequences: nobody has tried anything. Null: nobody's, or nobody's any more. */
  abstract recognise(token: string): Promise<Principal | null>;

  /** Credentials that were refused since the start, on this node. */
  abstract readonly refused: number;

  /**
   * Called when the credential of a principal was changed or revoked: what it was allowed before is to be asked anew. What
   * is answered ends it.
   */
  onChanged(listener: (principal_id: string) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  protected tellChanged(principal_id: string): void {
    for (const listener of this.listeners) listener(principal_id);
  }
}
