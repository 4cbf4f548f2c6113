import type { FileAnalysis, Note } from './analyse-file.js';
import { fileOf } from './modules.js';

const LARGEST = 20;
const MOST_USED = 20;
/** A ranking is one output: it may have 1 MiB. */
const TODO_BYTES = 900_000;

export interface ModuleUse {
  module: string;
  used_by: number;
  is_in_folder: boolean;
}

export interface Ranking {
  totals: { files: number; lines: number; words: number; todos: number; imports: number; exports: number };
  largest: { path: string; lines: number; words: number; longest_line: number; exports: number }[];
  todos: (Note & { path: string })[];
  most_used: ModuleUse[];
  /** Notes and names for which there was no room. */
  left_out: number;
  missing: string[];
}

/** What all analyses say together. */
export function rank(analyses: FileAnalysis[]): Ranking {
  const all = analyses.flatMap(({ path, todos }) => todos.map((note) => ({ path, ...note })));
  let room = TODO_BYTES;
  const todos = all.filter((todo) => (room -= Buffer.byteLength(JSON.stringify(todo)) + 1) >= 0);
  const sum = (count: (analysis: FileAnalysis) => number) => analyses.reduce((all, one) => all + count(one), 0);
  return {
    totals: {
      files: analyses.length,
      lines: sum(({ lines }) => lines),
      words: sum(({ words }) => words),
      todos: sum(({ counts }) => counts.todos),
      imports: sum(({ counts }) => counts.imports),
      exports: sum(({ counts }) => counts.exports),
    },
    largest: analyses
      .toSorted((a, b) => b.lines - a.lines || (a.path < b.path ? -1 : 1))
      .slice(0, LARGEST)
      .map(({ path, lines, words, longest_line, counts }) => ({
        path,
        lines,
        words,
        longest_line,
        exports: counts.exports,
      })),
    todos,
    most_used: mostUsed(analyses),
    left_out: sum(({ left_out }) => left_out) + all.length - todos.length,
    missing: analyses.filter(({ is_missing }) => is_missing).map(({ path }) => path),
  };
}

function mostUsed(analyses: FileAnalysis[]): ModuleUse[] {
  const files = new Set(analyses.map(({ path }) => path));
  const users = new Map<string, ModuleUse>();
  for (const { imports } of analyses) {
    const targets = imports.map((module) => ({ module, file: fileOf(module, files) }));
    // Two spellings of one file in one importer are one use.
    const used = new Map(targets.map(({ module, file }) => [file ?? module, file !== null]));
    for (const [module, is_in_folder] of used) {
      const use = users.get(module) ?? { module, used_by: 0, is_in_folder };
      use.used_by++;
      users.set(module, use);
    }
  }
  return [...users.values()]
    .sort((a, b) => b.used_by - a.used_by || (a.module < b.module ? -1 : 1))
    .slice(0, MOST_USED);
}
