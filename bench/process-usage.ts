import { readdir, readFile } from 'node:fs/promises';

/** Linux counts processor time in hundredths of a second. */
const TICK_MS = 10;

/** Resident memory, in MiB. */
export async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
}

/** Processor time that a process used so far, in ms. */
export async function processorMsOf(pid: number): Promise<number> {
  return (await usageOf(pid)).own_ms;
}

/**
 * The same of PostgreSQL: of all processes that the given one has started, also of those that have ended. They have one
 * thread each, of which Linux counts the nanoseconds: hundredths of a second are more than an idle one uses.
 */
export async function processorMsOfPostgres(postmaster: number): Promise<number> {
  let sum = (await usageOf(postmaster)).ended_children_ms + (await threadMsOf(postmaster));
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // One that ends meanwhile is counted next time, with those of its parent.
    const usage = await usageOf(Number(name)).catch(() => null);
    if (usage?.parent_pid === postmaster) sum += await threadMsOf(Number(name)).catch(() => 0);
  }
  return sum;
}

export async function threadMsOf(pid: number): Promise<number> {
  const [nanoseconds] = (await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ');
  return Number(nanoseconds) / 1e6;
}

export async function parentOf(pid: number): Promise<number> {
  return (await usageOf(pid)).parent_pid;
}

interface Usage {
  parent_pid: number;
  own_ms: number;
  ended_children_ms: number;
}

async function usageOf(pid: number): Promise<Usage> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [parent_pid, user, system, childrenUser, childrenSystem] = [1, 11, 12, 13, 14].map((n) => Number(fields[n]));
  return {
    parent_pid: parent_pid!,
    own_ms: (user! + system!) * TICK_MS,
    ended_children_ms: (childrenUser! + childrenSystem!) * TICK_MS,
  };
}
