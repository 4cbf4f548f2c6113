import type { FlightdeckAgent } from '@flightdeck/client';
import { randomInt } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import { administer, withDatabase } from '../support/global-setup.js';
import { Proxy } from '../support/proxy.js';
import { ServerProcess } from '../support/server-process.js';
import { AgentChild } from './agent-child.js';
import { checkHistory, reportOf } from './check-history.js';
import { exportHistory } from './export-history.js';
import { readHistory } from './history.js';
import { AGENTS, Load, SIZE, TASKS_IN_ALL } from './load.js';
import { randomOf } from './random.js';
import { startWorker, type WorkerOptions } from './worker.js';

const WORK_MS = 300;

export interface Setting {
  name: string;
  /** The servers; on the embedded database it is always one that does everything. */
  roles: ('all' | 'api' | 'worker')[];
  /** So many of the agents are processes of their own. */
  children?: number;
  /** The first of them stops itself before it gives the result of its so many-th task. */
  stop_at?: number;
  /** Instead of TEST_DATABASE_URL and TEST_REDIS_URL. */
  services?: { database_url?: string; redis_url?: string };
  /** Whether the answer to a POST that the first server gives gets lost. */
  isLost?: (scenario: Scenario) => boolean;
}

/** Servers, agents and a load, all of which note what they do, for a fault to be done to. */
export class Scenario {
  readonly seed = process.env.FAULT_SEED ?? String(randomInt(1e9));
  readonly random: () => number;
  readonly folder = mkdtempSync(join(tmpdir(), 'flightdeck-faults-'));
  readonly servers: ServerProcess[] = [];
  readonly children: AgentChild[] = [];
  /** Aborted when nobody waits for the load any more. */
  private readonly over = new AbortController();
  private readonly agents: FlightdeckAgent[] = [];
  private readonly files: string[] = [];
  private urls: string[] = [];
  private way: Proxy | null = null;
  private database: { admin_url: string; name: string } | null = null;

  private constructor(private readonly setting: Setting) {
    this.random = randomOf(`${this.seed} ${setting.name}`);
    console.log(`${setting.name}: FAULT_SEED=${this.seed}`);
  }

  /** Does the fault to a load, and proves that nothing was lost, doubled, out of order or stuck. */
  static async run(setting: Setting, fault: (scenario: Scenario) => Promise<void>): Promise<void> {
    const scenario = new Scenario(setting);
    try {
      await scenario.start();
      const load = new Load(scenario.urls, scenario.seed, scenario.newFile('load'), scenario.over.signal);
      // Which of them fails, the other need not go on.
      await Promise.all([load.create(), fault(scenario)].map((work) => scenario.orEnd(work)));
      await load.settle();
      await scenario.stop();
      await scenario.judge();
      rmSync(scenario.folder, { recursive: true });
    } catch (error) {
      for (const { output } of scenario.servers) appendFileSync(join(scenario.folder, 'servers.log'), output);
      console.log(`${setting.name} failed with FAULT_SEED=${scenario.seed}; its history is in ${scenario.folder}`);
      throw error;
    } finally {
      await scenario.dispose();
    }
  }

  get database_url(): string {
    return this.database ? withDatabase(this.database.admin_url, this.database.name) : '';
  }

  /** A moment of the seed's choice, within so many seconds. */
  async pause(least_seconds: number, most_seconds: number): Promise<void> {
    const seconds = least_seconds + this.random() * (most_seconds - least_seconds);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    this.over.signal.throwIfAborted();
  }

  async kill(server: ServerProcess): Promise<void> {
    await server.signal('SIGKILL');
  }

  /** Kills an agent in the middle of its work; another process takes its place, under the same key. */
  async killAgent(index: number): Promise<void> {
    await this.children[index]!.end('SIGKILL');
    await this.pause(0.2, 1);
    this.children[index] = await AgentChild.start(this.optionsOf(index));
  }

  private async orEnd(work: Promise<void>): Promise<void> {
    await work.catch((error: unknown) => {
      this.over.abort(error instanceof Error ? error : new Error(String(error)));
      throw error;
    });
  }

  fileOf(agent: number): string {
    return join(this.folder, `agent-${agent}.jsonl`);
  }

  private async start(): Promise<void> {
    const { roles, children = 0, stop_at, isLost, services = {} } = this.setting;
    const template = inject('template');
    const admin_url = services.database_url ?? template?.url;
    if (admin_url) {
      const name = `flightdeck_faults_${process.pid}_${randomInt(1e9)}`;
      const isCopy = services.database_url === undefined;
      await administer(admin_url, `CREATE DATABASE ${name}${isCopy ? ` TEMPLATE ${template!.name}` : ''}`);
      this.database = { admin_url, name };
    }
    for (const role of this.database ? roles : ['all']) {
      const server = await ServerProcess.prepare({
        ROLE: role,
        LOG_LEVEL: 'warning',
        SWEEP_EVERY_SECONDS: '1',
        DATABASE_URL: this.database_url,
        ...(services.redis_url !== undefined && { REDIS_URL: services.redis_url }),
      });
      this.servers.push(server);
      // The first one migrates; and two starts at once are no fault that is meant here.
      await server.start();
    }
    this.urls = this.servers.filter(({ environment }) => environment.ROLE !== 'worker').map(({ url }) => url);
    if (isLost) {
      this.way = await Proxy.to(this.servers[0]!.url);
      this.way.loseAnswers((sent) => sent.startsWith('POST') && isLost(this));
      this.urls[0] = this.way.url;
    }
    for (let index = 0; index < AGENTS; index++) {
      writeFileSync(this.newFile(`agent-${index}`), '');
      const options = this.optionsOf(index);
      if (index < children) this.children.push(await AgentChild.start({ ...options, ...(index === 0 && { stop_at }) }));
      else this.agents.push(startWorker(options));
    }
    await Promise.all(this.agents.map((agent) => agent.start()));
  }

  private optionsOf(index: number): WorkerOptions {
    const url = this.urls[index % this.urls.length]!;
    return { url, key: `agent-${index}`, file: this.fileOf(index), seed: this.seed, work_ms: WORK_MS };
  }

  private newFile(name: string): string {
    const file = join(this.folder, `${name}.jsonl`);
    this.files.push(file);
    return file;
  }

  private async stop(): Promise<void> {
    await Promise.all([
      ...this.agents.map((agent) => agent.stop()),
      ...this.children.map((child) => child.end('SIGTERM')),
    ]);
    await this.way?.close();
    this.way = null;
    // Without a farewell: what the database holds is what counts.
    await Promise.all(this.servers.map((server) => this.kill(server)));
  }

  private async judge(): Promise<void> {
    const database = this.database ? { url: this.database_url } : { folder: this.servers[0]!.environment.DATA_DIR! };
    await exportHistory(database, this.newFile('server'));
    const history = readHistory(this.files);
    const problems = checkHistory(history);
    const report = reportOf(history, problems);
    writeFileSync(join(this.folder, 'report.txt'), `${report}\n`);
    if (problems.length > 0) throw new Error(report);
    const numberOf = (table: string) =>
      history.rows.filter((row) => row.table === table && row.status === 'completed').length;
    const [tasks, runs] = [numberOf('tasks'), numberOf('workflow_runs')];
    if (tasks !== TASKS_IN_ALL || runs !== SIZE.workflows)
      throw new Error(`Completed: ${tasks} tasks of ${TASKS_IN_ALL}, ${runs} runs of ${SIZE.workflows}`);
    console.log(`${this.setting.name}: ${report}`);
  }

  private async dispose(): Promise<void> {
    this.over.abort(new Error('The scenario is over'));
    // Agents that were stopped by SIGSTOP hear of SIGKILL only.
    await Promise.all(this.children.map((child) => child.end('SIGKILL')));
    await Promise.all(this.servers.map((server) => server.dispose()));
    await Promise.all(this.agents.map((agent) => agent.stop()));
    await this.way?.close();
    const { database } = this;
    if (database) await administer(database.admin_url, `DROP DATABASE IF EXISTS ${database.name} WITH (FORCE)`);
  }
}
