import type { FastifyReply } from 'fastify';
import { currentContext } from '../context/request-context.js';
import type { Principal } from './principal.js';

/** Tells whose credential it is. The platform asks; a domain knows. */
export abstract class Authenticator {
  private readonly listeners = new Set<(principal_id: string) => void>();
  private readonly changes = new WeakMap<FastifyReply, AbortSignal>();

  /**
   * At once, without a promise, when it is known already. Throws CredentialRefused.
   * @param address where the caller is, by which failures are counted
   */
  abstract authenticate(token: string, address: string): Principal | Promise<Principal>;

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

  /** Aborts when the credential of the caller is changed or revoked before it has its answer. One request has one signal. */
  changeBefore(reply: FastifyReply): AbortSignal {
    const known = this.changes.get(reply);
    if (known) return known;
    const { principal } = currentContext();
    const changed = new AbortController();
    const stop = this.onChanged((id) => {
      if (id === principal?.id) changed.abort();
    });
    reply.raw.once('close', stop);
    this.changes.set(reply, changed.signal);
    return changed.signal;
  }

  protected tellChanged(principal_id: string): void {
    for (const listener of this.listeners) listener(principal_id);
  }
}
