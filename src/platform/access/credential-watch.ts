import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { currentContext } from '../context/request-context.js';
import { isRefusal } from '../errors/domain-error.js';
import { EventTail } from '../events/event-tail.js';
import { Authenticator } from './authenticator.js';
import { credentialOf } from './credential.js';
import { isOver, type Principal } from './principal.js';

const CHECK_EVERY_MS = 250;

interface Watched {
  principal: Principal;
  token: string;
  address: string;
  end: AbortController;
}

/** Ends requests that wait for long when the credential of their caller does. */
@Injectable()
export class CredentialWatch implements OnModuleDestroy {
  private readonly watched = new Set<Watched>();
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly authenticator: Authenticator,
    private readonly tail: EventTail,
  ) {
    authenticator.onChanged((principal_id) => {
      for (const { principal, end } of this.watched) if (principal.id === principal_id) end.abort();
    });
  }

  onModuleDestroy(): void {
    if (this.timer) clearInterval(this.timer);
  }

  /** Aborts when the credential of the running request is over, changed or revoked before its answer is sent. */
  endBefore({ raw, request }: FastifyReply): AbortSignal {
    const end = new AbortController();
    const { principal } = currentContext();
    const token = credentialOf(request.headers);
    if (!principal || token === null) return end.signal;
    const watched = { principal, token, address: request.ip, end };
    this.watched.add(watched);
    raw.once('close', () => this.watched.delete(watched));
    this.timer ??= setInterval(() => this.check(), CHECK_EVERY_MS).unref();
    return end.signal;
  }

  private check(): void {
    for (const one of this.watched) {
      if (isOver(one.principal)) one.end.abort();
      // What tells of revocations may be late.
      else if (this.tail.is_held_back) void this.askAgain(one);
    }
    if (this.watched.size > 0 || !this.timer) return;
    clearInterval(this.timer);
    this.timer = null;
  }

  /** Without a database nobody can say; then it is asked again when there is one. */
  private async askAgain({ token, address, end }: Watched): Promise<void> {
    try {
      await this.authenticator.authenticate(token, address);
    } catch (error) {
      if (isRefusal(error)) end.abort();
    }
  }
}
