import type { FastifyReply } from 'fastify';

/** Aborts when the client closes its connection before it has its answer. */
export function departure({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
