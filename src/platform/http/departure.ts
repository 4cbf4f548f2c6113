import type { FastifyReply } from 'fastify';

/** Aborts when the client closes its connection before it has its answer. */
export function departure({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  // It may have left while it was found out who it is.
  if (raw.destroyed) controller.abort();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
