import { setTimeout as sleep } from 'node:timers/promises';
import { Crowd } from '../crowd.js';
import { atLeast, atMost } from '../goal.js';
import { HttpClient } from '../http-client.js';
import type { ServerProcess } from '../server-process.js';
import type { Stage } from '../stage.js';
import { row, type Row } from '../table.js';
import { createTask, inParallel } from '../work.js';

const ROOM = 'tasks';
const WRITERS = 4;
/** Messages that all miss while they are away. */
const MISSED = 3;
const ASK_EVERY_MS = 100;

/** A new server, so that what grows is for the sockets; all of them are in one room, over WebSocket. */
export async function sockets(stage: Stage): Promise<Row[]> {
  await stage.clear();
  const server = await stage.ours();
  const client = new HttpClient(server.url, WRITERS);
  const { settle_seconds, sockets } = stage.scale;
  const first = new Crowd(server.url, 50, ROOM);
  await first.connectGently();
  await write(client, 10);
  first.disconnect();
  await sleep(settle_seconds * 1000);

  const before = await server.memory();
  const crowd = new Crowd(server.url, sockets, ROOM);
  await crowd.connectGently();
  await sleep(settle_seconds * 1000);
  const kib = (((await server.memory()) - before) * 1024) / sockets;
  const out = await messagesOut(server, client, crowd, stage.scale.messages_each);
  const back = await comeBack(client, crowd);
  crowd.disconnect();
  client.close();
  const losses = crowd.losses.length + back.refusals;
  if (losses > 0) stage.note(`Sockets lost: ${[...new Set(crowd.losses)].join('; ')}`);
  return [
    row(`${sockets} sockets, KiB each`, { ours: kib, bare: null }, atMost(60)(kib)),
    row(
      `${sockets} sockets, messages out, per second`,
      { ours: out.per_second, bare: null },
      atLeast(50_000)(out.per_second),
    ),
    row('meanwhile the server, % of a core', { ours: out.server_percent, bare: null }),
    row('meanwhile those who count the messages, % of a core', { ours: out.own_percent, bare: null }),
    row('all back at once with what they missed, s', { ours: back.seconds, bare: null }, atMost(10)(back.seconds)),
    row('refused or lost sockets, and answers with 5xx meanwhile', { ours: losses, bare: null }, atMost(0)(losses)),
  ];
}

const write = (client: HttpClient, count: number): Promise<void> =>
  inParallel(WRITERS, count, () => createTask(client, { title: 'To be told', agent_type: 'nobody' }));

/** As many as the server can: the tasks are written faster than they are told. */
async function messagesOut(server: ServerProcess, client: HttpClient, crowd: Crowd, each: number) {
  const { received } = crowd;
  const serverBefore = await server.processorMs();
  const ownBefore = process.cpuUsage();
  const begin = performance.now();
  await write(client, each);
  await crowd.untilReceived(each, received);
  const ms = performance.now() - begin;
  const own = process.cpuUsage(ownBefore);
  return {
    per_second: ((crowd.received - received) / ms) * 1000,
    server_percent: (((await server.processorMs()) - serverBefore) / ms) * 100,
    own_percent: ((own.user + own.system) / 1000 / ms) * 100,
  };
}

/** Every socket connects in the same moment, and asks for what came after its last message. */
async function comeBack(client: HttpClient, crowd: Crowd): Promise<{ seconds: number; refusals: number }> {
  const { received } = crowd;
  crowd.disconnect();
  await write(client, MISSED);
  let refusals = 0;
  const over = new AbortController();
  const asking = (async () => {
    while (!over.signal.aborted) {
      const { status } = await client.ask(client.prepare('GET', '/api/v1/tasks?limit=1&count=none'));
      if (status >= 500) refusals++;
      await sleep(ASK_EVERY_MS);
    }
  })();
  const begin = performance.now();
  await crowd.reconnect();
  await crowd.untilReceived(MISSED, received);
  const seconds = (performance.now() - begin) / 1000;
  over.abort();
  await asking;
  return { seconds, refusals };
}
