import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Environment } from '../platform/config/environment.js';
import { StartupError } from '../platform/errors/startup-error.js';
import { MetricsService } from './metrics.service.js';

/** Serves `/metrics` alone on METRICS_PORT: for workers, which have no API, and for networks that keep them apart. */
@Injectable()
export class MetricsServer implements OnApplicationBootstrap, OnApplicationShutdown {
  private server: Server | null = null;

  constructor(
    private readonly environment: Environment,
    private readonly metrics: MetricsService,
  ) {}

  /** Where it listens; null when METRICS_PORT is 0. */
  get port(): number | null {
    return this.server ? (this.server.address() as AddressInfo).port : null;
  }

  async onApplicationBootstrap(): Promise<void> {
    const { METRICS_PORT, host } = this.environment;
    if (METRICS_PORT === 0) return;
    const server = createServer((request, response) => void this.answer(request, response));
    server.listen(METRICS_PORT, host);
    await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
      throw new StartupError(
        `Cannot serve metrics on ${host}:${METRICS_PORT} (${error.code}). Set METRICS_PORT to another.`,
      );
    });
    this.server = server;
  }

  onApplicationShutdown(): void {
    this.server?.close();
    this.server?.closeAllConnections();
  }

  private async answer({ method, url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const isKnown = url.split('?', 1)[0] === '/metrics' && (method === 'GET' || method === 'HEAD');
    if (!isKnown) {
      response.writeHead(404).end();
      return;
    }
    const text = await this.metrics.text();
    response.writeHead(200, { 'content-type': this.metrics.content_type, 'cache-control': 'no-store' }).end(text);
  }
}
