import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { exportsOf, importsOf } from './modules.js';

const MODULE_EXTENSIONS = new Set(['.ts', '.tsx', '.js', '.jsx', '.mjs', '.cjs']);
const NOTE = /\b(TODO|FIXME)\b.*/;
const LONGEST_NOTE = 120;

export interface Note {
  line: number;
  text: string;
}

export interface FileAnalysis {
  path: string;
  lines: number;
  words: number;
  longest_line: number;
  todos: Note[];
  /** Packages by name, files by their path from the root, beginning with ./ */
  imports: string[];
  exports: string[];
  /** How long the three lists are in truth. */
  counts: { todos: number; imports: number; exports: number };
  /** Entries of the three lists that found no room. */
  left_out: number;
  /** The file could not be read: it went away after the scan. */
  is_missing: boolean;
}

/** What one file holds, in at most so many bytes of JSON (if the path leaves room for them). */
export async function analyseFile(root: string, path: string, maxBytes: number): Promise<FileAnalysis> {
  const text = await readFile(join(root, path), 'utf8').catch(() => null);
  return fitInto({ ...analyseText(path, text ?? ''), is_missing: text === null }, maxBytes);
}

export function analyseText(path: string, text: string): FileAnalysis {
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === '') lines.pop();
  const isModule = MODULE_EXTENSIONS.has(extname(path));
  const todos = notesOf(lines);
  const imports = isModule ? importsOf(path, text) : [];
  const exports = isModule ? exportsOf(text) : [];
  return {
    path,
    lines: lines.length,
    words: text.match(/\S+/g)?.length ?? 0,
    longest_line: lines.reduce((longest, { length }) => Math.max(longest, length), 0),
    todos,
    imports,
    exports,
    counts: { todos: todos.length, imports: imports.length, exports: exports.length },
    left_out: 0,
    is_missing: false,
  };
}

function notesOf(lines: string[]): Note[] {
  const notes: Note[] = [];
  for (const [index, line] of lines.entries()) {
    const text = NOTE.exec(line)?.[0];
    if (text !== undefined) notes.push({ line: index + 1, text: storable(text) });
  }
  return notes;
}

/** JSON columns take neither control characters nor half a surrogate pair, which cutting may leave. */
const storable = (text: string): string =>
  text
    .slice(0, LONGEST_NOTE)
    .replace(/\p{Cc}+/gu, ' ')
    .trimEnd()
    .toWellFormed();

/** Names go before notes: a note is worth more to the reader of the report. */
export function fitInto(analysis: FileAnalysis, maxBytes: number): FileAnalysis {
  const fitting = structuredClone(analysis);
  let excess = sizeOf(fitting) - maxBytes;
  for (const list of [fitting.exports, fitting.imports, fitting.todos]) {
    while (excess > 0 && list.length > 0) {
      excess -= sizeOf(list.pop()) + 1;
      fitting.left_out++;
    }
  }
  return fitting;
}

const sizeOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
