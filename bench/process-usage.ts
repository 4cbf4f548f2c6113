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
  const { own_ms } = await usageOf(pid);
  return own_ms;
}

/** The same of a process and of all its children, also of those that have ended. */
export async function processorMsOfFamily(pid: number): Promise<number> {
  const parent = await usageOf(pid);
  let sum = parent.own_ms + parent.ended_children_ms;
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // One that ends meanwhile is counted next time, with those of its parent.
    const usage = await usageOf(Number(name)).catch(() => null);
    if (usage?.parent_pid === pid) sum += usage.own_ms;
  }
  return sum;
}

export async function parentOf(pid: number): Promise<number> {
  return (await usageOf(pid)).parent_pid;
}

async function usageOf(pid: number): Promise<{ parent_pid: number; own_ms: number; ended_children_ms: number }> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything.
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [parent_pid, user, system, childrenUser, childrenSystem] = [1, 11, 12, 13, 14].map((index) => fields[index]!);
  return {
    parent_pid: parent_pid!,
    own_ms: (user! + system!) * TICK_MS,
    ended_children_ms: (childrenUser! + childrenSystem!) * TICK_MS,
  };
}
