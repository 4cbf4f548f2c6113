/** The SECRET_KEY of all servers that tests start: it may be in no answer and no log, whatever a test does. */
export const CANARY = 'the canary of the test suite: 8c1d0e5b7a';

/** Throws when the text tells the secret. */
export function assertNoCanary(where: string, text: string): void {
  if (text.includes(CANARY)) throw new Error(`${where} holds the server's secret: ${text.slice(0, 2_000)}`);
}
