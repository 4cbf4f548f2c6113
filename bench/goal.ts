/** What a number should be, and whether it is. */
export interface Goal {
  text: string;
  isMet: boolean;
}

export const atLeast =
  (wanted: number, unit = '') =>
  (value: number): Goal => ({ text: `>= ${wanted}${unit}`, isMet: value >= wanted });

export const atMost =
  (wanted: number, unit = '') =>
  (value: number): Goal => ({ text: `<= ${wanted}${unit}`, isMet: value <= wanted });
