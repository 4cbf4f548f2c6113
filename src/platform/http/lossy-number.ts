/** Sixteen digits in a row or a three-digit exponent: without one of them every number fits. */
const SUSPECT = /\d{16}|e\+?\d{3}/i;
/** Strings, to step over them, and numbers. */
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * A number in valid JSON that JavaScript would silently change: a whole one beyond 2^53, or one beyond all bounds. Such
 * numbers are mostly ids, and an id that is a little different is a different id. Null when there is none.
 */
export function lossyNumber(json: string): string | null {
  if (!SUSPECT.test(json)) return null;
  for (const [token] of json.matchAll(TOKENS)) {
    if (!token.startsWith('"') && isLossy(token)) return token;
  }
  return null;
}

function isLossy(token: string): boolean {
  const value = Number(token);
  if (!Number.isFinite(value)) return true;
  return /^-?\d+$/.test(token) && BigInt(token) !== BigInt(value);
}
