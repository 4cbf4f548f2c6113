import { AsyncResource } from 'node:async_hooks';

/** What a step asks for: how long until the next one. A firm rest is not cut short by a call. */
export interface Rest {
  ms: number;
  is_firm?: boolean;
}

export const AT_ONCE: Rest = { ms: 0 };

/** Does one step after another: when it is called, or when the rest that the last step asked for is over. */
export class WokenLoop {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private isRunning = false;
  private isWanted = false;
  private isResting = false;
  private isStopped = false;
  /** Runs outside the request that happens to wake it. */
  private readonly start: () => void;

  /** The step must not fail. */
  constructor(private readonly step: () => Promise<Rest>) {
    this.start = AsyncResource.bind(() => {
      this.running = this.run();
    });
  }

  get is_stopped(): boolean {
    return this.isStopped;
  }

  wake(): void {
    this.isWanted = true;
    if (!this.isRunning && !this.isResting && !this.isStopped) this.start();
  }

  /** Resolves when the running step has ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private async run(): Promise<void> {
    clearTimeout(this.timer);
    this.isRunning = true;
    let rest: Rest;
    do {
      this.isWanted = false;
      rest = await this.step();
    } while (!this.isStopped && (rest.ms === 0 || (this.isWanted && !rest.is_firm)));
    // In the tick of the last look at isWanted, so that no call is lost in between.
    this.isRunning = false;
    if (this.isStopped) return;
    this.isResting = rest.is_firm ?? false;
    this.timer = setTimeout(() => {
      this.isResting = false;
      this.wake();
    }, rest.ms);
    this.timer.unref();
  }
}
