import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isSafe } from 'redos-detector';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { maskSecrets } from '../../src/platform/logging/mask-secrets.js';
import { HANGING_MS, within } from '../support/eventually.js';
import { RawSocket } from '../support/raw-socket.js';
import { ServerProcess } from '../support/server-process.js';

const ANALYSIS_MS = 20_000;

/** Those that the analysis cannot follow, and why they are harmless all the same. */
const EXPLAINED: Record<string, string> = {
  'platform/http/lossy-number.ts': 'Reads only what is JSON already, where each text has an end',
  'platform/database/embedded/embedded-session.ts': 'Reads only the statements of Flightdeck and its libraries',
  'platform/logging/mask-secrets.ts':
    'Begins at most 31 characters before a colon, or nowhere within what it has begun',
  'audit/without-secrets.ts': 'Reads values of at most 8 KiB, and begins nowhere within what it has begun to read',
};

interface Expression {
  file: string;
  source: string;
  flags: string;
}

/** All regular expressions in the code; those that are put together are tried with texts below. */
function expressionsIn(folder: string): { written: Expression[]; composed: string[] } {
  const written: Expression[] = [];
  const composed: string[] = [];
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.ts') && !name.endsWith('.spec.ts'))) {
    const visit = (node: ts.Node): void => {
      const [, source, flags] = ts.isRegularExpressionLiteral(node) ? /^\/(.*)\/(\w*)$/s.exec(node.text)! : [];
      if (source !== undefined) written.push({ file, source, flags: flags! });
      if (ts.isNewExpression(node) && node.expression.getText() === 'RegExp') composed.push(file);
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(file, readFileSync(`${folder}/${file}`, 'utf8'), ts.ScriptTarget.Latest, true));
  }
  return { written, composed };
}

describe('the regular expressions of the code', () => {
  const { written, composed } = expressionsIn('src');

  it('are found', () => {
    expect(written.length).toBeGreaterThanOrEqual(40);
    // What is put together here must be tried below: room names, words of database drivers, paths of routes.
    expect(composed.toSorted()).toEqual([
      'platform/errors/connection-failure.ts',
      'platform/http/route-table.ts',
      'platform/sockets/join-room.message.ts',
    ]);
  });

  it('need no more than a bounded number of steps for each character', () => {
    const unsafe = written
      .filter(({ file }) => !(file in EXPLAINED))
      .filter(({ source, flags }) => !isSafe(new RegExp(source, flags), { timeout: ANALYSIS_MS }).safe);

    expect(unsafe).toEqual([]);
  }, 300_000);

  it('and a bad one would be seen', () => {
    for (const bad of [/^(a+)+$/, /(a|aa)+$/, /^\s*a*\s*a*x/]) expect(isSafe(bad, { timeout: 1_000 }).safe).toBe(false);
  });

  it('are still there where the list explains them', () => {
    const files = new Set(written.map(({ file }) => file));

    expect(Object.keys(EXPLAINED).filter((file) => !files.has(file))).toEqual([]);
  });

  it('of the validators that fields use are bounded as well', () => {
    const require = createRequire(import.meta.url);
    const root = createRequire(require.resolve('class-validator'));
    const source = readFileSync(root.resolve('validator/lib/isUUID'), 'utf8');
    const found = [...source.matchAll(/: (\/\^.*\/)(i?)[,\n]/g)].map(
      ([, text, flags]) => new RegExp(text!.slice(1, -1), flags),
    );

    expect(found.length).toBeGreaterThan(5);
    expect(found.filter((expression) => !isSafe(expression, { timeout: ANALYSIS_MS }).safe)).toEqual([]);
  });
});

/** What makes a bad expression try again and again; each is as long as its place allows. */
const EVIL = (length: number): [string, string][] => [
  ['one letter and a bad end', `${'a'.repeat(length - 1)}!`],
  ['blanks and a bad end', `${' '.repeat(length - 1)}!`],
  ['line feeds', `${'\n'.repeat(length - 1)}!`],
  ['dots', `${'a.'.repeat(length / 2 - 1)}!`],
  ['schemes', `${'a+'.repeat(length / 2 - 3)}://:`],
  ['colons', `a://${':'.repeat(length - 5)}!`],
  ['quotes', `${'"\\'.repeat(length / 2 - 1)}!`],
  ['hexadecimal digits', `${'0'.repeat(length - 1)}-`],
  ['digits with dots', `${'1.'.repeat(length / 2 - 1)}e`],
  ['braces', `${'${{'.repeat(Math.floor(length / 3) - 1)}}}`],
  ['parentheses', `${'('.repeat(length / 2)}${')'.repeat(length / 2)}`],
  ['percent signs', `${'%'.repeat(length - 1)}_`],
  ['commas', `${','.repeat(length - 1)}*`],
];

// The server is a process of its own: what blocks it cannot keep this one from noticing.
describe('texts that make bad expressions hang', () => {
  vi.setConfig({ testTimeout: 120_000 });
  let server: ServerProcess;

  beforeAll(async () => {
    server = await ServerProcess.prepare({ LOG_LEVEL: 'error' });
    await server.start();
  }, 120_000);
  afterEach(async () => {
    await within(HANGING_MS, fetch(`${server.url}/health`));
  });
  afterAll(() => server.dispose());

  const ask = async (
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown> }> => {
    const answer = await within(
      HANGING_MS,
      fetch(`${server.url}${path}`, {
        method,
        ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      }),
    );
    return {
      status: answer.status,
      body: answer.status === 204 ? {} : ((await answer.json()) as Record<string, unknown>),
    };
  };

  it.each(EVIL(254))('in searches and filters: %s', async (_what, text) => {
    const one = encodeURIComponent(text);
    for (const [list, ...names] of [
      ['projects', 'search', 'cursor', 'sort_by'],
      ['agents', 'search', 'tags', 'type'],
      ['tasks', 'search', 'tags', 'assigned_agent_id', 'workflow_id', 'limit', 'is_blocked'],
      ['workflows', 'search', 'tags', 'project_id'],
    ] as string[][]) {
      for (const name of names)
        expect([200, 422]).toContain((await ask('GET', `/api/v1/${list}?${name}=${one}`)).status);
    }
  });

  it.each(EVIL(10_000))('in paths: %s', async (_what, text) => {
    // A path has no more room than that.
    const one = encodeURIComponent(text).slice(0, 12_000).replace(/%.?$/, '');
    for (const path of ['/api/v1/tasks/', '/api/v1/agents/', '/', '/docs/', '/api/v1/workflows/x/agents/']) {
      expect([404, 405, 422]).toContain((await ask('GET', path + one)).status);
    }
  });

  it.each(EVIL(50_000))('in every text of a body: %s', async (_what, text) => {
    for (const [path, body] of [
      ['projects', { name: text, description: text, metadata: { [text]: text } }],
      ['agents', { name: text, type: text, key: text, project_id: text, tags: [text] }],
      ['tasks', { title: text, scheduled_at: text, assigned_agent_id: text, dependencies: [text] }],
      [
        'workflows',
        { name: text, steps: [{ key: text, when: text, for_each: text }], schedule: { cron: text, timezone: text } },
      ],
    ] as [string, object][]) {
      expect((await ask('POST', `/api/v1/${path}`, body)).status).toBe(422);
    }
  });

  it.each(EVIL(9_000))('in expressions: %s', async (_what, text) => {
    for (const expression of [text, `'${text.replaceAll(/['\\\n]/g, '')}'`, `\${{ ${text} }}`, `input.x == ${text}`]) {
      const steps = [
        { key: 'a', when: expression, for_each: expression, input: { a: `\${{ ${expression} }}`, b: text } },
      ];
      const { status, body } = await ask('POST', '/api/v1/workflows', { name: 'x', steps });

      expect([201, 422]).toContain(status);
      if (status === 201)
        expect([200, 202]).toContain((await ask('POST', `/api/v1/workflows/${String(body.id)}/execute`, {})).status);
    }
  });

  it.each([
    ['an expression within an expression', `'${'a'.repeat(5_000)}!'.matches('^(a+)+$')`],
    ['choices', `'${'a'.repeat(5_000)}!'.matches('^(a|a)*$')`],
    ['references', String.raw`'${'a'.repeat(5_000)}!'.matches(r'^(a*)*\1$')`],
    [
      'loops in loops',
      '[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b, [1,2,3,4,5,6,7,8,9,10].map(c, [1,2,3,4,5,6,7,8,9,10].map(d, [1,2,3,4,5,6,7,8,9,10].map(e, [1,2,3,4,5,6,7,8,9,10].map(f, [1,2,3,4,5,6,7,8,9,10].map(g, a)))))))',
    ],
    ['texts that double', `${'['.repeat(20)}'x'${'].map(t, t + t + t + t + t + t + t + t)'.repeat(20)}`],
    ['conditions', `${'true ? '.repeat(50)}1${' : 2'.repeat(50)}`],
    ['a long sum', Array.from({ length: 900 }, () => '1').join(' + ')],
    ['signs', `${'-'.repeat(5_000)}1`],
    ['negations', `${'!'.repeat(5_000)}true`],
  ])('in expressions of a run: %s', async (_what, expression) => {
    const steps = [{ key: 'a', for_each: `[${expression}]` }];
    const { status, body } = await ask('POST', '/api/v1/workflows', { name: 'x', steps });

    expect([201, 422]).toContain(status);
    if (status === 201)
      expect((await ask('POST', `/api/v1/workflows/${String(body.id)}/execute`, {})).status).toBeLessThan(500);
  });

  it.each([
    ['a day that never comes', '0 0 30 2 *'],
    ['another one', '0 0 31 2,4,6,9,11 *'],
    ['a rare weekday', '59 23 29 2 1#5'],
    ['very many values', `${Array.from({ length: 60 }, (_, minute) => minute).join(',')} * * * *`],
    ['very many ranges', `${'0-59/1,'.repeat(24)}1 * * * *`],
    ['a range that goes back', '59-0 * * * *'],
    ['a step of nothing', '*/0 * * * *'],
    ['an immense step', `*/${'9'.repeat(100)} * * * *`],
    ['immense numbers', `0-${'9'.repeat(100)} * * * *`],
    ['blanks', `*${' '.repeat(190)}* * * *`],
    ['names', 'jan-dec jan-dec jan-dec jan-dec jan-dec'],
    ['the last of everything', 'L L L L L'],
    ['weekdays near a day', '0 0 31W 2 *'],
    ['question marks', '? ? ? ? ?'],
  ])('in schedules: %s', async (_what, cron) => {
    for (const timezone of ['UTC', 'Europe/Berlin', 'x'.repeat(100), 'Etc/GMT+12']) {
      const { status } = await ask('POST', '/api/v1/workflows', {
        name: 'x',
        steps: [{ key: 'a' }],
        schedule: { cron, timezone },
      });

      expect([201, 422]).toContain(status);
    }
  });

  it.each(EVIL(15_000))('in names of rooms and messages: %s', async (_what, text) => {
    const raw = await RawSocket.join(server.url);

    for (const room of [text, `agent:${text}`, `task:${text}`])
      raw.sendText(`421${JSON.stringify(['join_room', { room, since: text }])}`);
    raw.sendText(`422${JSON.stringify([text])}`);

    await raw.until('431[{');
    await raw.until('432[{');
    raw.close();
  });

  it('in what is logged', () => {
    // Here and not in a process of its own: without a bound this would be quadratic, for minutes.
    for (const [, text] of EVIL(1_000_000)) expect(maskSecrets(text).length).toBeGreaterThan(0);
    expect(maskSecrets(`x${'a.'.repeat(10)}postgres://user:hunter2@host`)).not.toContain('hunter2');
    expect(maskSecrets('could not reach postgresql+unix://user:hunter2@host/x')).not.toContain('hunter2');
  });
});
