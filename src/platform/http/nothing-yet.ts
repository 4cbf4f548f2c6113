/**
 * Thrown by a handler that would wait while it is in the transaction of a request with an Idempotency-Key: that is
 * rolled back, the wait goes on without a connection, and the handler is called again.
 */
export class NothingYet extends Error {
  constructor(readonly over: Promise<void>) {
    super('There is nothing yet to answer');
  }
}
