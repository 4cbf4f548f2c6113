export interface Row {
  name: string;
  ours: number;
  baseline: number | null;
  /** Ours in relation to the baseline, where more is better. */
  ratio?: number;
}

const shown = (value: number | null | undefined): string =>
  value == null ? '' : value >= 100 ? String(Math.round(value)) : value.toFixed(2);

export function printTable(rows: readonly Row[]): void {
  const cells = [
    ['', 'Flightdeck', 'baseline', 'ratio'],
    ...rows.map(({ name, ours, baseline, ratio }) => [name, shown(ours), shown(baseline), shown(ratio)]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  for (const row of cells) {
    console.log(
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
    );
  }
}
