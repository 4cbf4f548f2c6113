/** Of values that are sorted: the smallest one that so many per cent of them do not exceed. */
export const percentile = (sorted: readonly number[], percent: number): number =>
  sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;

export const percentilesOf = (values: readonly number[], ...percents: number[]): number[] => {
  const sorted = [...values].sort((a, b) => a - b);
  return percents.map((percent) => percentile(sorted, percent));
};

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
