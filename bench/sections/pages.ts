import { atMost } from '../goal.js';
import { HttpClient } from '../http-client.js';
import { percentilesOf } from '../percentile.js';
import type { Stage } from '../stage.js';
import { row, type Row } from '../table.js';

const PATH = '/api/v1/tasks';

/** A page far down beside the first one, one request at a time; the cursor is that of a walk through all pages before. */
export async function pages(stage: Stage): Promise<Row[]> {
  const { page, page_samples } = stage.scale;
  const ours = new HttpClient((await stage.ours()).url, 1);
  const bare = new HttpClient((await stage.bare()).url, 1);
  const begin = performance.now();
  const { cursor, last_id } = await walk(ours, page - 1);
  stage.note(`The walk through ${page - 1} pages took ${((performance.now() - begin) / 1000).toFixed(1)} s.`);
  const [first, far, bareFirst, bareFar] = await mediansInTurns(page_samples, [
    () => ours.call('GET', `${PATH}?limit=50`),
    () => ours.call('GET', `${PATH}?limit=50&cursor=${cursor}`),
    () => bare.call('GET', `${PATH}?limit=50`),
    () => bare.call('GET', `${PATH}?after=${last_id}`),
  ]);
  for (const client of [ours, bare]) client.close();
  const ratio = far! / first!;
  return [
    row('page 1, median ms', { ours: first!, bare: bareFirst! }),
    row(`page ${page} by cursor, median ms`, { ours: far!, bare: bareFar! }),
    row(`page ${page} / page 1`, { ours: ratio, bare: bareFar! / bareFirst! }, atMost(1.5)(ratio)),
  ];
}

async function walk(client: HttpClient, pages: number): Promise<{ cursor: string; last_id: string }> {
  let cursor = '';
  let last_id = '';
  for (let page = 0; page < pages; page++) {
    const next = cursor === '' ? '' : `&cursor=${cursor}`;
    const { head, body } = await client.ask(client.prepare('GET', `${PATH}?limit=50&count=none${next}`));
    cursor = /\r\nx-next-cursor: *(\S+)/i.exec(head)?.[1] ?? '';
    if (cursor === '') throw new Error(`There is no page ${page + 2}`);
    if (page === pages - 1) last_id = (JSON.parse(body.toString()) as { id: string }[]).at(-1)!.id;
  }
  return { cursor, last_id };
}

async function mediansInTurns(samples: number, requests: (() => Promise<unknown>)[]): Promise<number[]> {
  const times: number[][] = requests.map(() => []);
  const once = async (index: number): Promise<void> => {
    const asked = performance.now();
    await requests[index]!();
    times[index]!.push(performance.now() - asked);
  };
  const forth = requests.map((_, index) => index);
  for (let sample = 0; sample < samples / 2; sample++) {
    for (const index of [...forth, ...forth.toReversed()]) await once(index);
  }
  return times.map((each) => percentilesOf(each, 50)[0]!);
}
