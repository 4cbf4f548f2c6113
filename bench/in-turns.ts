import { mean } from './percentile.js';

/** Ours, and what it is compared with. */
export interface Pair<T> {
  ours: T;
  bare: T;
}

/** Both sides in turns, forth and back, so that what else the machine does meets both. */
export async function inTurns<Side, T>(sides: Pair<Side>, measure: (side: Side) => Promise<T>): Promise<Pair<T[]>> {
  const results: Pair<T[]> = { ours: [], bare: [] };
  for (const side of ['bare', 'ours', 'ours', 'bare'] as const) results[side].push(await measure(sides[side]));
  return results;
}

/** Many short turns: a machine that is slow for some seconds is so for both. */
const ROUNDS = 4;

/** The same several times, after a short round in which both compile what they run and prepare their statements. */
export async function inTurnsWarmedUp<Side, T>(
  sides: Pair<Side>,
  seconds: number,
  measure: (side: Side, seconds: number) => Promise<T>,
): Promise<Pair<T[]>> {
  await inTurns(sides, (side) => measure(side, seconds / 4));
  const results: Pair<T[]> = { ours: [], bare: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const { ours, bare } = await inTurns(sides, (side) => measure(side, seconds / ROUNDS));
    results.ours.push(...ours);
    results.bare.push(...bare);
  }
  return results;
}

export const ofBoth = <T>({ ours, bare }: Pair<T[]>, pick: (value: T) => number): Pair<number> => ({
  ours: mean(ours.map(pick)),
  bare: mean(bare.map(pick)),
});
