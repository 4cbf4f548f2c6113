import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { AsyncLocalStorage } from 'node:async_hooks';
import { currentContext } from '../context/request-context.js';
import { EventTail } from '../events/event-tail.js';
import { Authenticator } from './authenticator.js';
import { credentialOf } from './credential.js';
import { isOver, isSameCaller, type Principal } from './principal.js';

const CHECK_EVERY_MS = 250;

interface Watched {
  principal: Principal;
  token: string;
  end: AbortController;
  isAsking: boolean;
}

/** Ends requests that wait for long when the credential of their caller does. */
@Injectable()
export class CredentialWatch implements OnModuleDestroy {
  private readonly watched = new Set<Watched>();
  private timer: NodeJS.Timeout | null = null;
  private readonly outsideRequests = AsyncLocalStorage.snapshot();

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
    if (!principal || token === null || raw.destroyed) return end.signal;
    const watched = { principal, token, end, isAsking: false };
    this.watched.add(watched);
    raw.once('close', () => this.watched.delete(watched));
    this.timer ??= this.outsideRequests(() => setInterval(() => this.check(), CHECK_EVERY_MS).unref());
    return end.signal;
  }

  private check(): void {
    for (const one of this.watched) {
      if (isOver(one.principal)) one.end.abort();
      // What tells of revocations may be late.
      else if (this.tail.is_held_back && !one.isAsking) void this.askAgain(one);
    }
    if (this.watched.size > 0 || !this.timer) return;
    clearInterval(this.timer);
    this.timer = null;
  }

  /** It may have become another caller's, or nobody's. Without a database nobody can say. */
  private async askAgain(one: Watched): Promise<void> {
    one.isAsking = true;
    const principal = await this.authenticator.recognise(one.token).catch(() => one.principal);
    one.isAsking = false;
    if (!principal || !isSameCaller(one.principal, principal)) one.end.abort();
  }
}
