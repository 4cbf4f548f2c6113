import { open, readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { REPORT_NAME } from './report.js';

const SKIPPED_FOLDERS = new Set(['node_modules', '.git', 'dist', 'data']);
const MAX_FILES = 10_000;
const MAX_FILE_BYTES = 1_048_576;
/** Of all paths together: an output may have 1 MiB. */
const MAX_PATH_BYTES = 900_000;
const SNIFFED_BYTES = 8_192;
/** What all analyses together should have: they are the input of one task. Many files need more. */
const JOINED_BYTES = 900_000;
const LARGEST_ANALYSIS = 16_384;
const SMALLEST_ANALYSIS = 512;

export interface Scan {
  root: string;
  files: string[];
  is_truncated: boolean;
  /** What one analysis may have, so that all of them fit into one input. */
  analysis_bytes: number;
}

/** The text files under a folder, in the order of their paths. */
export async function scanFolder(root: string): Promise<Scan> {
  if (!(await stat(root)).isDirectory()) throw new Error(`${root} is no folder`);
  const files: string[] = [];
  let bytes = 0;
  let is_truncated = false;
  for await (const file of walk(root)) {
    const path = relative(root, file).split(sep).join('/');
    bytes += JSON.stringify(path).length * 1.1;
    is_truncated = files.length >= MAX_FILES || bytes > MAX_PATH_BYTES;
    if (is_truncated) break;
    files.push(path);
  }
  const share = Math.floor(JOINED_BYTES / Math.max(1, files.length));
  const analysis_bytes = Math.min(LARGEST_ANALYSIS, Math.max(SMALLEST_ANALYSIS, share));
  return { root, files, is_truncated, analysis_bytes };
}

async function* walk(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) yield* walk(path);
    if (entry.isFile() && entry.name !== REPORT_NAME && (await isSmallText(path))) yield path;
  }
}

/** A file that cannot be read is none of ours. */
async function isSmallText(path: string): Promise<boolean> {
  const file = await open(path).catch(() => null);
  if (!file) return false;
  try {
    if ((await file.stat()).size > MAX_FILE_BYTES) return false;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(SNIFFED_BYTES), 0, SNIFFED_BYTES, 0);
    return !buffer.subarray(0, bytesRead).includes(0);
  } finally {
    await file.close();
  }
}
