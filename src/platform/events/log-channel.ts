import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import type { PoolClient } from 'pg';
import { Database } from '../database/database.js';

const CHANNEL = 'flightdeck_events';
/** One notification stands for all commits of this long: the lock that NOTIFY takes serialises writers. */
const ANNOUNCE_EVERY_MS = 20;
const RECONNECT_MS = 500;

/** Tells the other nodes that the log has grown, and hears it from them. Never inside a domain's transaction. */
@Injectable()
export class LogChannel implements OnModuleDestroy {
  private readonly logger = new Logger(LogChannel.name);
  private announcing: NodeJS.Timeout | null = null;
  private lastAnnounced = 0;
  private client: PoolClient | null = null;
  private isStopped = false;

  constructor(private readonly database: Database) {}

  announce(): void {
    if (this.announcing || this.isStopped) return;
    const wait = Math.max(0, this.lastAnnounced + ANNOUNCE_EVERY_MS - Date.now());
    this.announcing = setTimeout(() => {
      this.announcing = null;
      this.lastAnnounced = Date.now();
      void this.notify();
    }, wait);
  }

  private async notify(): Promise<void> {
    // A lost announcement only delays the others until their next look.
    await this.database.pool.query(`NOTIFY ${CHANNEL}`).catch(() => undefined);
  }

  /** Calls the listener at each announcement, and once after a broken connection is back. */
  onAnnounced(listener: () => void): void {
    void this.listen(listener);
  }

  async onModuleDestroy(): Promise<void> {
    this.isStopped = true;
    if (this.announcing) {
      clearTimeout(this.announcing);
      await this.notify();
    }
    this.client?.release(true);
    this.client = null;
  }

  private async listen(listener: () => void): Promise<void> {
    const client = await this.database.pool.connect().catch(() => null);
    if (this.isStopped) return client?.release(true);
    if (!client) return this.listenAgain(listener);
    this.client = client;
    const lose = (error: Error): void => {
      // A broken connection fails its query and also says so itself.
      if (this.client !== client) return;
      this.logger.warn(`Lost the connection that hears of new events: ${error.message}`);
      this.client = null;
      client.release(true);
      this.listenAgain(listener);
    };
    client.on('notification', listener);
    client.once('error', lose);
    await client.query(`LISTEN ${CHANNEL}`).then(() => listener(), lose);
  }

  private listenAgain(listener: () => void): void {
    if (!this.isStopped) setTimeout(() => void this.listen(listener), RECONNECT_MS).unref();
  }
}
