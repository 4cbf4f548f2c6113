import { Backoff } from './backoff.js';
import { FlightdeckError } from './flightdeck-error.js';

export interface Persistence {
  /** Ends it: it rejects with the signal's reason. */
  signal: AbortSignal;
  /** Told of the first failure, not of those that follow. */
  onAway: (error: FlightdeckError) => void;
}

/** Repeats a call until it is answered or refused: a server that is away or fails is asked again, with jitter. */
export async function persist<T>(call: () => Promise<T>, { signal, onAway }: Persistence): Promise<T> {
  const backoff = new Backoff();
  for (let isFirst = true; ; isFirst = false) {
    try {
      signal.throwIfAborted();
      return await call();
    } catch (error) {
      if (signal.aborted || !(error instanceof FlightdeckError && error.isPassing)) throw error;
      if (isFirst) onAway(error);
      await backoff.pause(signal, error.retry_after_seconds);
    }
  }
}
