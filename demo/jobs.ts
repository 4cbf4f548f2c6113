import type { Task } from '@flightdeck/client';
import { analyseFile, type FileAnalysis } from './analyse-file.js';
import { rank, type Ranking } from './rank.js';
import { writeReport } from './report.js';
import { scanFolder } from './scan-folder.js';

type Job = (input: Record<string, unknown>) => Promise<unknown>;

/** What an agent does for each step of the demo's workflow; the inputs are written in demo-workflow.ts. */
const JOBS: Record<string, Job> = {
  scan: async ({ folder }) => scanFolder(text(folder)),
  analyse: async ({ root, path, max_bytes }) => analyseFile(text(root), text(path), Number(max_bytes)),
  // The whole input is a list: it arrives as { value }.
  rank: async ({ value }) => rank(value as FileAnalysis[]),
  report: async ({ path, folder, ranking }) => {
    await writeReport(text(path), text(folder), ranking as Ranking);
    return { path };
  },
};

export async function perform({ step_key, input }: Task): Promise<unknown> {
  const job = JOBS[step_key ?? ''];
  if (!job) throw new Error(`This agent knows no step ${step_key}`);
  return job(input);
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error(`The input has ${JSON.stringify(value)} where a text belongs`);
  return value;
}
