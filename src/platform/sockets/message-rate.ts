import { TooManyMessages } from './sockets.errors.js';

interface Bucket {
  tokens: number;
  filled_at: number;
}

/** Limits how fast one socket may send: a token bucket that holds two seconds' worth. Throws TooManyMessages. */
export function spend({ data }: { data: { bucket?: Bucket } }, rate: number): void {
  const now = performance.now();
  const { tokens, filled_at } = (data.bucket ??= { tokens: rate * 2, filled_at: now });
  const filled = Math.min(rate * 2, tokens + ((now - filled_at) / 1000) * rate);
  const isAllowed = filled >= 1;
  // What is refused costs nothing: a client somewhat too fast still gets its rate.
  data.bucket = { tokens: isAllowed ? filled - 1 : filled, filled_at: now };
  if (!isAllowed) throw new TooManyMessages(rate);
}
