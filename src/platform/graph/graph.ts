/** Who waits for whom: each node with those it depends on. */
export type Graph = ReadonlyMap<string, readonly string[]>;

/** The shortest way from one node to another along dependencies, or null. */
export function findPath(graph: Graph, from: string, to: string): string[] | null {
  const cameFrom = new Map<string, string | null>([[from, null]]);
  for (const node of cameFrom.keys()) {
    if (node === to) return trace(cameFrom, to);
    for (const next of graph.get(node) ?? []) if (!cameFrom.has(next)) cameFrom.set(next, node);
  }
  return null;
}

/** A way that ends where it begins, e.g. [a, b, a], or null when there is none. Looks at each edge once. */
export function findCycle(graph: Graph): string[] | null {
  const sound = new Set<string>();
  const visit = (node: string, way: readonly string[]): string[] | null => {
    if (sound.has(node)) return null;
    const place = way.indexOf(node);
    if (place >= 0) return [...way.slice(place), node];
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next, [...way, node]);
      if (cycle) return cycle;
    }
    sound.add(node);
    return null;
  };
  for (const node of graph.keys()) {
    const cycle = visit(node, []);
    if (cycle) return cycle;
  }
  return null;
}

/** The nodes in groups that may run together, each after the groups before it. The graph must have no cycle. */
export function levels(graph: Graph): string[][] {
  const levelOf = new Map<string, number>();
  const visit = (node: string): number => {
    const known = levelOf.get(node);
    if (known !== undefined) return known;
    const level = Math.max(-1, ...(graph.get(node) ?? []).map(visit)) + 1;
    levelOf.set(node, level);
    return level;
  };
  const groups: string[][] = [];
  for (const node of graph.keys()) (groups[visit(node)] ??= []).push(node);
  return groups;
}

/** Everything that a node depends on, directly or not. */
export function ancestors(graph: Graph, node: string): Set<string> {
  const found = new Set(graph.get(node) ?? []);
  for (const each of found) for (const next of graph.get(each) ?? []) found.add(next);
  return found;
}

/** Everything that depends on one of the nodes, directly or not, and the nodes themselves. */
export function withDescendants(graph: Graph, nodes: Iterable<string>): Set<string> {
  const found = new Set(nodes);
  for (const node of levels(graph).flat()) {
    if (graph.get(node)!.some((dependency) => found.has(dependency))) found.add(node);
  }
  return found;
}

function trace(cameFrom: Map<string, string | null>, to: string): string[] {
  const path: string[] = [];
  for (let node: string | null = to; node !== null; node = cameFrom.get(node)!) path.unshift(node);
  return path;
}
