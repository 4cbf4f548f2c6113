import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Cleanup, stopProcess } from './cleanup.js';
import type { AgentTypes } from './demo-workflow.js';

const AGENT = fileURLToPath(new URL('./agent.js', import.meta.url));
const STOP_WITHIN_MS = 8_000;
/** The analyst that crashes has done a few tasks before. */
const CRASH_AFTER_TASKS = 3;

export interface Fleet {
  /** Rejects when an agent ends that should not. */
  failure: Promise<never>;
  /** The name of the analyst that crashed, once it has. */
  crashed: string | null;
}

interface Member {
  name: string;
  type: string;
  crashAfter?: number;
}

interface FleetOptions {
  url: string;
  types: AgentTypes;
  mayCrash: boolean;
  say: (text: string) => void;
}

/** Starts a scanner and two analysts, and returns when all three are registered. */
export async function startFleet(cleanup: Cleanup, { url, types, mayCrash, say }: FleetOptions): Promise<Fleet> {
  const members: Member[] = [
    { name: 'Scanner', type: types.scanner },
    { name: 'Analyst 1', type: types.analyst, crashAfter: mayCrash ? CRASH_AFTER_TASKS : undefined },
    { name: 'Analyst 2', type: types.analyst },
  ];
  const fleet: Fleet = { failure: new Promise(() => undefined), crashed: null };
  const onCrash = (name: string) => {
    fleet.crashed = name;
    say(`${name} crashed (on purpose), holding leases: when they run out (up to ~15 s), Analyst 2 gets its tasks.`);
  };
  const agents = members.map((member) => startAgent(cleanup, url, member, onCrash, say));
  fleet.failure = Promise.race(agents.map(({ failure }) => failure));
  fleet.failure.catch(() => undefined);
  await Promise.race([Promise.all(agents.map(({ ready }) => ready)), fleet.failure]);
  return fleet;
}

function startAgent(
  cleanup: Cleanup,
  url: string,
  { name, type, crashAfter }: Member,
  onCrash: (name: string) => void,
  say: (text: string) => void,
) {
  const child = spawn(process.execPath, [AGENT, url, type, `${type}_${randomUUID()}`, name, String(crashAfter ?? '')], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let isStopping = false;
  cleanup.add(async () => {
    isStopping = true;
    await stopProcess(child, 'SIGTERM', STOP_WITHIN_MS);
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => say(`${name}: ${chunk.toString().trimEnd()}`));
  }
  const failure = once(child, 'exit').then(([code, signal]): Promise<never> => {
    // Windows knows no signals.
    const isPlanned = crashAfter !== undefined && (signal === 'SIGKILL' || process.platform === 'win32');
    if (!isStopping && !isPlanned) throw new Error(`${name} ended by itself (${String(code ?? signal)})`);
    if (!isStopping) onCrash(name);
    return new Promise(() => undefined);
  });
  return { ready: once(child, 'message'), failure };
}
