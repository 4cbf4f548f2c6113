import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { Authenticator } from '../platform/access/authenticator.js';
import { APP } from '../platform/config/app-info.js';
import { Database } from '../platform/database/database.js';
import { Rooms } from '../platform/sockets/rooms.js';
import { MetricsService } from './metrics.service.js';

/** What this node holds: sockets, and connections to the database. */
@Injectable()
export class NodeMetrics {
  constructor({ registry }: MetricsService, { pool }: Database, rooms: Rooms, authenticator: Authenticator) {
    const gauge = (name: string, help: string, read: () => number): void => {
      const one: Gauge = new Gauge({
        name: `flightdeck_${name}`,
        help,
        registers: [registry],
        collect: () => one.set(read()),
      });
    };
    gauge('sockets_connected', 'Sockets connected to this node', () => rooms.socketCount);
    gauge('database_pool_size', 'Connections that this node may hold', () => pool.options.max);
    gauge('database_pool_connections', 'Connections that this node holds', () => pool.totalCount);
    gauge('database_pool_idle', 'Those of them that nobody uses', () => pool.idleCount);
    gauge('database_pool_waiting', 'Requests that wait for a connection', () => pool.waitingCount);
    const refused: Counter = new Counter({
      name: 'flightdeck_credentials_refused_total',
      help: 'API keys and tokens that this node refused',
      registers: [registry],
      collect: () => {
        refused.reset();
        refused.inc(authenticator.refused);
      },
    });
    new Gauge({
      name: 'flightdeck_info',
      help: 'Always 1; says which version this node runs',
      labelNames: ['version'],
      registers: [registry],
    }).set({ version: APP.version }, 1);
  }
}
