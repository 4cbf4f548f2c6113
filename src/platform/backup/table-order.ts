/** The names in an order in which what is referred to comes first; those that are free to stand anywhere by name. */
export function orderOf(names: readonly string[], references: readonly { from: string; to: string }[]): string[] {
  const ordered: string[] = [];
  const left = new Set([...names].sort());
  while (left.size > 0) {
    const next = [...left].find((name) => !references.some(({ from, to }) => from === name && left.has(to)));
    if (next === undefined) throw new Error(`These tables refer to each other in a circle: ${[...left].join(', ')}`);
    ordered.push(next);
    left.delete(next);
  }
  return ordered;
}
