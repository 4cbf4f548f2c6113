import { writeFile } from 'node:fs/promises';
import type { Ranking } from './rank.js';

export const REPORT_NAME = 'flightdeck-report.md';

/** Writes the ranking down for people. */
export async function writeReport(path: string, folder: string, ranking: Ranking): Promise<void> {
  await writeFile(path, reportText(folder, ranking));
}

export function reportText(folder: string, ranking: Ranking): string {
  const { totals, largest, todos, most_used, left_out, missing } = ranking;
  const sections = [
    '# Flightdeck report',
    `Folder: ${code(folder)}`,
    '## Totals',
    table(
      ['Files', 'Lines', 'Words', 'TODO and FIXME', 'Imports', 'Exported names'],
      [[totals.files, totals.lines, totals.words, totals.todos, totals.imports, totals.exports]],
    ),
    `## The largest files (${largest.length})`,
    table(
      ['File', 'Lines', 'Words', 'Longest line', 'Exported names'],
      largest.map(({ path, lines, words, longest_line, exports }) => [code(path), lines, words, longest_line, exports]),
    ),
    '## TODO and FIXME',
    todos.map(({ path, line, text }) => `- ${code(`${path}:${line}`)} ${code(text)}`).join('\n') || 'None.',
    '## The most used modules',
    table(
      ['Module', 'Used by files', 'In the folder'],
      most_used.map(({ module, used_by, is_in_folder }) => [code(module), used_by, is_in_folder ? 'yes' : 'no']),
    ),
  ];
  if (left_out > 0) sections.push(`${left_out} notes or names found no room in this report.`);
  if (missing.length > 0) sections.push(`Gone before they could be read: ${missing.map(code).join(', ')}.`);
  return `${sections.join('\n\n')}\n`;
}

function table(head: string[], rows: (string | number)[][]): string {
  if (rows.length === 0) return 'None.';
  const alignment = head.map((_, column) => (typeof rows[0]?.[column] === 'number' ? '---:' : '---'));
  return [head, alignment, ...rows]
    .map((cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}

/** As code, so that no text of a file becomes markup: the fence is longer than any run of backticks inside. */
function code(text: string): string {
  const longest = (text.match(/`+/g) ?? []).reduce((max, { length }) => Math.max(max, length), 0);
  const fence = '`'.repeat(longest + 1);
  const space = longest > 0 ? ' ' : '';
  return fence + space + text.replace(/[\r\n]+/g, ' ') + space + fence;
}
