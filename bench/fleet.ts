import { HttpClient } from './http-client.js';
import { complete, completeAll, createAgent, lease, type Leased } from './work.js';

interface FleetOptions {
  agents: number;
  agent_type: string;
  /** As many as an agent leases and completes side by side. */
  max_tasks: number;
  /** Whether an agent gives all its results in one call; else in one for each. */
  together?: boolean;
  onLeased?: (leased: Leased) => void | Promise<void>;
  onCompleted?: (leased: Leased) => void;
}

const WAIT_SECONDS = 5;

/** Agents that lease as many tasks as they may, wait when there are none, and complete them, each over its own connections. */
export class Fleet {
  private isOver = false;
  /** Those of the agents that wait for tasks. */
  private readonly waiting = new Set<HttpClient>();
  private working: Promise<unknown> = Promise.resolve();

  private constructor(private readonly options: FleetOptions) {}

  static async start(url: string, options: FleetOptions): Promise<Fleet> {
    const fleet = new Fleet(options);
    const { agents, agent_type, max_tasks } = options;
    const members = await Promise.all(
      Array.from({ length: agents }, async () => {
        const client = new HttpClient(url, max_tasks);
        return { client, agent_id: await createAgent(client, agent_type, max_tasks) };
      }),
    );
    fleet.working = Promise.all(members.map(({ client, agent_id }) => fleet.work(client, agent_id)));
    // Who stops the fleet hears of it; until then it must not end the process.
    fleet.working.catch(() => undefined);
    return fleet;
  }

  /** Waits for what the fleet brings about. Throws if one of them met an error. */
  until<T>(result: Promise<T>): Promise<T> {
    return Promise.race([result, this.working.then(() => result)]);
  }

  /** Who waits gives up, who works completes it. Throws if one of them met an error. */
  async stop(): Promise<void> {
    this.isOver = true;
    for (const client of this.waiting) client.close();
    await this.working;
  }

  private async work(client: HttpClient, agent_id: string): Promise<void> {
    const { onLeased, onCompleted, together } = this.options;
    const doOne = async (leased: Leased): Promise<void> => {
      await onLeased?.(leased);
      await complete(client, leased);
      onCompleted?.(leased);
    };
    while (!this.isOver) {
      const leased = await this.lease(client, agent_id);
      if (together && leased.length > 0) {
        await completeAll(client, leased);
        for (const one of leased) onCompleted?.(one);
      } else {
        await Promise.all(leased.map(doOne));
      }
    }
    client.close();
  }

  private async lease(client: HttpClient, agent_id: string): Promise<Leased[]> {
    this.waiting.add(client);
    try {
      return await lease(client, agent_id, this.options.max_tasks, WAIT_SECONDS);
    } catch (error) {
      if (this.isOver) return [];
      throw error;
    } finally {
      this.waiting.delete(client);
    }
  }
}
