import { describe, expect, it } from 'vitest';
import { ancestors, findCycle, findPath, type Graph, levels, withDescendants } from './graph.js';

const graph = (edges: Record<string, string[]>): Graph => new Map(Object.entries(edges));

/** a <- b, a <- c, both <- d; e stands alone. */
const DIAMOND = graph({ a: [], b: ['a'], c: ['a'], d: ['b', 'c'], e: [] });

/** Every node depends on all before it: as many edges as a definition can have. */
const dense = (size: number): Graph => {
  const keys = Array.from({ length: size }, (_, index) => `n${index}`);
  return new Map(keys.map((key, index) => [key, keys.slice(0, index)]));
};

describe('a graph', () => {
  it('finds the shortest way from a node to another', () => {
    const long = graph({ a: ['b', 'c'], b: ['d'], d: ['c'], c: [] });

    expect(findPath(long, 'a', 'c')).toEqual(['a', 'c']);
    expect(findPath(DIAMOND, 'd', 'a')).toEqual(['d', 'b', 'a']);
    expect(findPath(DIAMOND, 'a', 'a')).toEqual(['a']);
  });

  it('finds no way where there is none', () => {
    expect(findPath(DIAMOND, 'a', 'd')).toBeNull();
    expect(findPath(DIAMOND, 'e', 'a')).toBeNull();
    expect(findPath(DIAMOND, 'unknown', 'a')).toBeNull();
  });

  it.each([
    ['a node that waits for itself', { a: ['a'] }, ['a', 'a']],
    ['two that wait for each other', { a: ['b'], b: ['a'] }, ['a', 'b', 'a']],
    ['a long one', { a: ['b'], b: ['c'], c: ['d'], d: ['a'] }, ['a', 'b', 'c', 'd', 'a']],
    ['one that does not begin at the first node', { x: ['a'], a: ['b'], b: ['c'], c: ['b'] }, ['b', 'c', 'b']],
    ['one behind a sound branch', { a: [], b: ['a'], c: ['b', 'd'], d: ['c'] }, ['c', 'd', 'c']],
  ])('finds a cycle: %s', (_what, edges, cycle) => {
    expect(findCycle(graph(edges as unknown as Record<string, string[]>))).toEqual(cycle);
  });

  it('finds no cycle where two ways meet', () => {
    expect(findCycle(DIAMOND)).toBeNull();
    expect(findCycle(new Map())).toBeNull();
  });

  it('puts nodes into groups that may run together, each after those it depends on', () => {
    expect(levels(DIAMOND)).toEqual([['a', 'e'], ['b', 'c'], ['d']]);
    expect(levels(graph({ late: ['early'], early: [] }))).toEqual([['early'], ['late']]);
    expect(levels(new Map())).toEqual([]);
  });

  it('knows what a node depends on, directly or not', () => {
    expect(ancestors(DIAMOND, 'd')).toEqual(new Set(['b', 'c', 'a']));
    expect(ancestors(DIAMOND, 'b')).toEqual(new Set(['a']));
    expect(ancestors(DIAMOND, 'a')).toEqual(new Set());
  });

  it('knows what depends on some nodes, directly or not', () => {
    expect(withDescendants(DIAMOND, ['b'])).toEqual(new Set(['b', 'd']));
    expect(withDescendants(DIAMOND, ['a'])).toEqual(new Set(['a', 'b', 'c', 'd']));
    expect(withDescendants(DIAMOND, ['c', 'e'])).toEqual(new Set(['c', 'e', 'd']));
    expect(withDescendants(DIAMOND, [])).toEqual(new Set());
  });

  it('answers at once however many edges there are', () => {
    const big = dense(500);
    const begin = performance.now();

    expect(findCycle(big)).toBeNull();
    expect(levels(big)).toHaveLength(500);
    expect(withDescendants(big, ['n0']).size).toBe(500);
    expect([...big.keys()].map((key) => ancestors(big, key).size).at(-1)).toBe(499);

    expect(performance.now() - begin).toBeLessThan(5_000);
  });

  it('finds the one cycle among many edges', () => {
    const big = new Map(dense(500)).set('n0', ['n499']);

    const cycle = findCycle(big)!;

    expect(cycle[0]).toBe(cycle.at(-1));
    expect(new Set(cycle.slice(1)).size).toBe(cycle.length - 1);
    cycle.slice(1).forEach((node, index) => expect(big.get(cycle[index]!)).toContain(node));
  });
});
