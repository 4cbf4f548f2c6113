import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { eventually } from '../support/eventually.js';
import { bearer, firstKey } from '../support/keys.js';
import { SocketClient } from '../support/socket-client.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { Caller, callerOf, populate, type Things, unknownLike } from '../support/two-projects.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const CANARY = 'canaryofb';
const TOPICS = ['agents', 'tasks', 'workflows', 'projects', 'system', 'dashboard'];
const SUBJECTS = ['task', 'workflow', 'run', 'project', 'agent'] as const;

describe('a socket of one project', () => {
  let server: TestApp;
  let url: string;
  let admin: Caller;
  let own: Things;
  let shared: Things;
  let foreign: Things;
  const tokens = new Map<string, string>();
  const clients: SocketClient[] = [];

  beforeAll(async () => {
    server = await startTestApp({ environment: { AUTH_MODE: 'required' }, isListening: true });
    url = await server.listen();
    const key = await firstKey(server);
    admin = new Caller(server, bearer(key));
    own = await populate(admin, (await admin.post('/projects', { name: 'A' })).id, 'wordofa');
    shared = await populate(admin, null, 'wordofall');
    foreign = await populate(admin, (await admin.post('/projects', { name: CANARY })).id, CANARY);
    tokens.set('all', key);
    for (const role of ['viewer', 'operator', 'agent', 'admin']) {
      const agent_id = role === 'agent' ? own.agent[0] : undefined;
      tokens.set(role, (await callerOf(admin, role, own.project[0]!, agent_id)).key);
    }
  });
  afterAll(() => server.close());
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  const connect = async (role: string) => {
    const client = await SocketClient.connect(url, { auth: { token: tokens.get(role) } });
    clients.push(client);
    return client;
  };
  const roomsOf = (things: Things) => SUBJECTS.flatMap((kind) => things[kind].map((id) => `${kind}:${id}`));
  const plain = (answer: object, value: string) =>
    JSON.stringify(answer)
      .replaceAll(value, '<it>')
      .replace(/"position":"[^"]*"/, '"position":"<position>"');

  it('knows these messages and rooms: what is new is to be tried here', async () => {
    const scanner = new MetadataScanner();
    const messages = server.app
      .get(DiscoveryService)
      .getProviders()
      .flatMap(({ instance }) => {
        if (typeof instance !== 'object' || instance === null) return [];
        const prototype = Object.getPrototypeOf(instance) as Record<string, object> | null;
        return scanner
          .getAllMethodNames(prototype)
          .flatMap((name) => (Reflect.getMetadata('message', prototype![name]!) as string | undefined) ?? []);
      });
    const { detail } = await (await connect('viewer')).join('no room');

    expect(messages.toSorted()).toEqual(['authenticate', 'join_room', 'leave_room', 'ping']);
    expect(detail).toBe(
      `/room: must be ${TOPICS.join(', ')}, or task:, workflow:, run:, project: and an id, or agent: and an agent's id or key`,
    );
  });

  it.each(['viewer', 'operator', 'agent', 'admin'])(
    '%s: rooms of another project are as those of nothing',
    async (role) => {
      const client = await connect(role);
      const position = (await (await connect('all')).join('tasks')).position as string;
      // Who is in them does not matter.
      const other = await connect('all');
      for (const room of roomsOf(foreign)) await other.join(room);

      for (const room of roomsOf(foreign)) {
        const [, id] = room.split(':') as [string, string];
        const unknown = unknownLike(id);
        for (const message of ['join_room', 'leave_room']) {
          for (const since of message === 'join_room' ? [undefined, position] : [undefined]) {
            const answer = await client.send(message, { room, since });
            const nothing = await client.send(message, { room: room.replace(id, unknown), since });
            expect(plain(answer, id)).toBe(plain(nothing, unknown));
          }
        }
      }
    },
  );

  it('stays with its project when it shows another credential', async () => {
    const client = await connect('viewer');
    const { key } = await callerOf(admin, 'viewer', foreign.project[0]!);

    for (const token of [key, tokens.get('all')]) {
      expect(await client.send('authenticate', { token })).toMatchObject({ status: 403, code: 'not_allowed' });
    }
  });

  /** Everything that a project can do, with its word in it. */
  const work = async (word: string, things: Things, project_id: string | null) => {
    const [agent_id] = things.agent;
    const fresh = await populate(admin, project_id, `${word}-${randomUUID().slice(0, 8)}`);
    await admin.put(`/tasks/${things.task[0]}`, { title: `${word} new title` });
    await admin.patch('/tasks/bulk', {
      task_ids: [things.task[0], things.task[4]],
      updates: { title: `${word} bulk` },
    });
    await admin.patch(`/agents/${agent_id}/status`, { status: 'waiting', current_task_title: `${word} current` });
    await admin.post(`/agents/${agent_id}/heartbeat`, { metrics: { error_count: 5 } });
    await admin.put(`/agents/${agent_id}`, { description: `${word} described` });
    await admin.put(`/workflows/${things.workflow[0]}`, { name: `${word} renamed` });
    await admin.post(`/runs/${fresh.run[0]}/pause`);
    await admin.post(`/runs/${fresh.run[0]}/cancel`);
    await admin.delete(`/workflows/${fresh.workflow[1]}`);
    await admin.delete(`/tasks/${fresh.task[0]}`);
    await admin.delete(`/agents/${fresh.agent[0]}`);
    if (project_id !== null) await admin.put(`/projects/${project_id}`, { description: `${word} project` });
  };

  it('hears nothing of another project in any room, live or later, but all of its own and what is shared', async () => {
    const everything = await connect('all');
    const since = (await everything.join('dashboard')).position as string;
    await everything.join('system');
    const live = new Map<string, SocketClient>();
    for (const role of ['viewer', 'admin']) {
      const client = await connect(role);
      live.set(role, client);
      for (const room of [...TOPICS, ...roomsOf(foreign), ...roomsOf(own), ...roomsOf(shared)]) await client.join(room);
    }
    const agent = await connect('agent');
    live.set('agent', agent);
    await agent.join(`agent:${own.agent[0]}`);

    await work(CANARY, foreign, foreign.project[0]!);
    // One for all projects, which works for the other one.
    const type = `${CANARY}-for-all`;
    await admin.post('/tasks', { title: `${CANARY} task`, agent_type: type, project_id: foreign.project[0] });
    const forAll = await admin.post('/agents', { name: 'for all', type });
    const [leased] = await admin.post('/tasks/lease', { agent_id: forAll.id });
    expect(leased.task.title).toBe(`${CANARY} task`);
    // Of both at once.
    const both = [own.task[0], foreign.task[0], shared.task[0]];
    await admin.patch('/tasks/bulk', { task_ids: both, updates: { tags: ['of-all-three'] } });
    await admin.put(`/tasks/${own.task[2]}`, { project_id: foreign.project[0], title: `${CANARY} moved away` });
    await work('wordofa', own, own.project[0]!);
    await work('wordofall', shared, null);
    await admin.put(`/projects/${own.project[0]}`, { description: 'the last of all' });
    await eventually(() => {
      for (const client of [everything, live.get('viewer')!]) {
        expect(JSON.stringify(client.payloads('project_updated'))).toContain('the last of all');
      }
    });
    for (const client of live.values()) await client.settle();

    const later = await connect('viewer');
    for (const room of [...TOPICS, ...roomsOf(foreign)]) await later.join(room, since);
    await later.settle();

    const told = (client: SocketClient) => JSON.stringify(client.received);
    // The types of agents are of that word; that of the one for all is no secret to anybody.
    const secrets = [CANARY, ...SUBJECTS.flatMap((kind) => foreign[kind])];
    for (const client of [...live.values(), later]) {
      const found = client.received
        .map((one) => JSON.stringify(one).replaceAll(type, '<type>'))
        .filter((text) => secrets.some((secret) => text.includes(secret)));
      expect(found).toEqual([]);
    }
    expect(told(everything)).toContain(CANARY);
    for (const client of [live.get('viewer')!, live.get('admin')!, later]) {
      const types = new Set(client.received.map(({ name }) => name));
      expect(told(client)).toContain('wordofa new title');
      expect(told(client)).toContain('wordofall bulk');
      expect(types.size).toBeGreaterThan(20);
      expect(client.payloads('agent_status_updated').filter(({ data }) => data.agent_id === forAll.id)).toMatchObject([
        { data: { new_status: 'busy', current_task: null } },
      ]);
      expect(client.payloads('tasks_bulk_updated').filter(({ data }) => data.changes.tags)).toMatchObject([
        { project_id: own.project[0], data: { task_ids: [own.task[0]] } },
        { project_id: null, data: { task_ids: [shared.task[0]] } },
      ]);
    }
    // Later is what was live.
    const ofLog = (client: SocketClient) =>
      client.received.map(({ payload, name }) => `${payload.position} ${name}`).toSorted();
    expect([...new Set(ofLog(later))]).toEqual([...new Set(ofLog(live.get('viewer')!))]);
    expect(live.get('agent')!.received.length).toBeGreaterThan(0);
  });
});
