import type { Goal } from './goal.js';
import type { Load } from './load.js';
import { ofBoth, type Pair } from './in-turns.js';

export interface Row {
  name: string;
  ours: number;
  baseline: number | null;
  /** Ours in relation to the baseline, where more is better. */
  ratio?: number;
  goal?: Goal;
}

export const row = (name: string, { ours, bare }: { ours: number; bare: number | null }, goal?: Goal): Row => ({
  name,
  ours,
  baseline: bare,
  ...(goal && { goal }),
});

/** A row of two rates, whose ratio counts. */
export const ratioRow = (name: string, { ours, bare }: Pair<number>, goal?: (ratio: number) => Goal): Row => ({
  name,
  ours,
  baseline: bare,
  ratio: ours / bare,
  ...(goal && { goal: goal(ours / bare) }),
});

export const loadRows = (
  name: string,
  loads: Pair<Load[]>,
  goals: { ratio?: (ratio: number) => Goal; p99?: (ms: number) => Goal } = {},
): Row[] => {
  const rates = ofBoth(loads, ({ per_second }) => per_second);
  const p50 = ofBoth(loads, (one) => one.p50);
  const p99 = ofBoth(loads, (one) => one.p99);
  return [
    ratioRow(`${name}, per second`, rates, goals.ratio),
    row(`${name}, p50 ms`, p50),
    row(`${name}, p99 ms`, p99, goals.p99?.(p99.ours)),
  ];
};

export function printTable(rows: readonly Row[], baseline: string): void {
  const hasGoals = rows.some(({ goal }) => goal);
  const cells = [
    ['', 'Flightdeck', baseline, 'ratio', ...(hasGoals ? ['goal', 'met'] : [])],
    ...rows.map(({ name, ours, baseline, ratio, goal }) => [
      name,
      shown(ours),
      shown(baseline),
      shown(ratio),
      ...(hasGoals ? [goal?.text ?? '', goal ? (goal.isMet ? 'yes' : 'NO') : ''] : []),
    ]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  for (const row of cells) {
    const padded = row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)));
    console.log(padded.join('  ').trimEnd());
  }
}

function shown(value: number | null | undefined): string {
  if (value == null) return '';
  return Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(2);
}
