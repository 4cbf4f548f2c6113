import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

type Service = 'postgres' | 'redis';

/** A PostgreSQL and a Redis that nobody else uses, so that they may be stopped. They end with this process. */
export class PrivateServices {
  private readonly host = spawn(process.execPath, ['scripts/services-host.mjs'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  private readonly lines = createInterface({ input: this.host.stdout })[Symbol.asyncIterator]();
  readonly ended = once(this.host, 'exit');
  database_url = '';
  redis_url = '';

  static async start(): Promise<PrivateServices> {
    const services = new PrivateServices();
    return Object.assign(services, JSON.parse(await services.line()));
  }

  /** A clean end, or one as by a crash: then PostgreSQL recovers from its log, and Redis has forgotten everything. */
  async down(service: Service, how: 'stop' | 'crash'): Promise<void> {
    await this.obey(`${how} ${service}`);
  }

  async up(service: Service): Promise<void> {
    await this.obey(`start ${service}`);
  }

  async dispose(): Promise<void> {
    this.host.stdin.end();
    await this.ended;
  }

  private async obey(command: string): Promise<void> {
    this.host.stdin.write(`${command}\n`);
    const answer = await this.line();
    if (answer !== command) throw new Error(`${command}: ${answer}`);
  }

  private async line(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('The services ended: see above');
    return value;
  }
}
