/**
 * Reads what clients noted about their calls and what the server logged, and reports work that was lost, done twice, done
 * out of order, or is stuck: `npm run check-history -- <files of JSON lines>`. What the lines hold is in `history.ts`.
 * Ends with 0 when there is nothing to report, with 1 otherwise.
 */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { checkClients } from './check-clients.js';
import { checkRuns } from './check-runs.js';
import { checkTasks } from './check-tasks.js';
import { type History, type HistoryEvent, type Problem, readHistory } from './history.js';

const MOST_PER_KIND = 20;

export function checkHistory(history: History): Problem[] {
  return [...checkLog(history.events), ...checkClients(history), ...checkTasks(history), ...checkRuns(history)];
}

/** The log's own order: positions increase, and no event is there twice. */
function checkLog(events: readonly HistoryEvent[]): Problem[] {
  const problems: Problem[] = [];
  const ids = new Set<string>();
  let last: [bigint, bigint] = [-1n, -1n];
  for (const { id, type, txid, seq } of events) {
    const subject = `event ${id} (${type})`;
    const position: [bigint, bigint] = [BigInt(txid), BigInt(seq)];
    const isLater = position[0] > last[0] || (position[0] === last[0] && position[1] > last[1]);
    if (!isLater) {
      const text = `its position ${position.join('.')} is not after ${last.join('.')}`;
      problems.push({ kind: 'OUT-OF-ORDER', subject, text });
    }
    if (ids.has(id)) problems.push({ kind: 'DUPLICATED', subject, text: 'it is in the log twice' });
    ids.add(id);
    last = position;
  }
  return problems;
}

/** For people: the counts, then each problem on a line. */
export function reportOf({ calls, events }: History, problems: readonly Problem[]): string {
  const kinds: Problem['kind'][] = ['LOST', 'DUPLICATED', 'OUT-OF-ORDER', 'STUCK'];
  const lines = kinds.flatMap((kind) => {
    const own = problems.filter((problem) => problem.kind === kind);
    const shown = own.slice(0, MOST_PER_KIND).map(({ subject, text }) => `${kind}  ${subject}: ${text}`);
    return own.length > MOST_PER_KIND ? [...shown, `${kind}  and ${own.length - MOST_PER_KIND} more`] : shown;
  });
  const counts = kinds.map((kind) => `${problems.filter((problem) => problem.kind === kind).length} ${kind}`);
  const tries = calls.filter(({ phase }) => phase === 'invoke').length;
  return [`${tries} calls, ${events.length} events: ${counts.join(', ')}`, ...lines].join('\n');
}

function main(files: readonly string[]): number {
  if (files.length === 0) {
    console.error('Usage: npm run check-history -- <files of JSON lines>');
    return 1;
  }
  const history = readHistory(files);
  const problems = checkHistory(history);
  console.log(reportOf(history, problems));
  return problems.length === 0 ? 0 : 1;
}

if (process.argv[1] && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url))) {
  process.exitCode = main(process.argv.slice(2));
}
