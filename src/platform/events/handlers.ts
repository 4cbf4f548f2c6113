import { DiscoveryService } from '@nestjs/core';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { Transaction } from '../database/unit-of-work.js';
import type { DomainEvent, EventClass } from './domain-event.js';
import type { LoggedEvent } from './logged-event.js';

/** Runs inside the transaction that recorded the event, and commits or rolls back with it. */
export const Within = DiscoveryService.createDecorator<EventClass[]>();

/** Runs on every node, after the commit, in the order of the log. `task_*` matches all types with that beginning. */
export const Live = DiscoveryService.createDecorator<string>();

/** Runs on one node at a time, in order, at least once, also for what happened while no server ran. */
export const Durable = DiscoveryService.createDecorator<{ name: string; types: string[] }>();

type Method = (...parameters: unknown[]) => unknown;
export interface LiveHandler {
  pattern: string;
  instance: object;
  handle: (event: LoggedEvent) => unknown;
}
export interface DurableHandler {
  name: string;
  types: string[];
  handle: (event: LoggedEvent) => Promise<void>;
}

/** All methods of the application that react to events, found once at start. */
@Injectable()
export class EventHandlers implements OnModuleInit {
  readonly live: LiveHandler[] = [];
  readonly durable: DurableHandler[] = [];
  private readonly within = new Map<string, Method[]>();

  constructor(private readonly discovery: DiscoveryService) {}

  onModuleInit(): void {
    for (const { instance } of this.discovery.getProviders()) {
      if (typeof instance !== 'object' || instance === null) continue;
      for (const method of methodsOf(instance)) this.register(instance, method);
    }
    const names = this.durable.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice) throw new Error(`Two durable consumers are named ${twice}: they would share one position`);
  }

  async runWithin(event: DomainEvent, tx: Transaction): Promise<void> {
    for (const handle of this.within.get(event.type) ?? []) await handle(event, tx);
  }

  hasWithin(type: string): boolean {
    return this.within.has(type);
  }

  private register(instance: object, method: Method): void {
    const bound = method.bind(instance);
    for (const { type } of reflect(Within, method) ?? []) {
      this.within.set(type, [...(this.within.get(type) ?? []), bound]);
    }
    const pattern = reflect(Live, method);
    if (pattern) this.live.push({ pattern, instance, handle: bound });
    const durable = reflect(Durable, method);
    if (durable) this.durable.push({ ...durable, handle: bound as DurableHandler['handle'] });
  }
}

export const matches = (pattern: string, type: string): boolean =>
  pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type;

const reflect = <T>(decorator: { KEY: string } & ((options?: T) => unknown), method: Method): T | undefined =>
  Reflect.getMetadata(decorator.KEY, method) as T | undefined;

export function methodsOf(instance: object): Method[] {
  const prototype = Object.getPrototypeOf(instance) as object | null;
  if (!prototype || prototype === Object.prototype) return [];
  return Object.getOwnPropertyNames(prototype)
    .filter((name) => name !== 'constructor' && !Object.getOwnPropertyDescriptor(prototype, name)?.get)
    .map((name) => (prototype as Record<string, unknown>)[name])
    .filter((value): value is Method => typeof value === 'function');
}
