import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ApiDocument, apiDocument, named, type Operation, type Schema } from '../support/api-document.js';
import { eventually } from '../support/eventually.js';
import { lease, makeAgent, makeKey, makeProject, makeTask } from '../support/makers.js';
import { type RandomRequest, requestsTo } from '../support/random-requests.js';
import { startRun } from '../support/runs.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

/** The same requests again: FUZZ_SEED. More of them: FUZZ_RUNS. */
const SEED = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31));
const RUNS = Number(process.env.FUZZ_RUNS ?? 10);

vi.setConfig({ testTimeout: 60_000 + RUNS * 2_000 });

// The committed document names the tests; that the server's own is the same, `npm run check` sees to.
const { paths } = JSON.parse(readFileSync('openapi.json', 'utf8')) as { paths: Record<string, object> };
const routes = Object.entries(paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
);

describe(`random requests (FUZZ_SEED=${SEED})`, () => {
  let server: TestApp;
  let document: ApiDocument;
  let answers: Map<string, ValidateFunction>;
  let operations: Map<string, Operation>;

  beforeAll(async () => {
    process.stdout.write(`FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS}\n`);
    server = await startTestApp({ environment: { LOG_LEVEL: 'error' } });
    document = await apiDocument(server);
    operations = new Map(document.operations.map((operation) => [named(operation), operation]));
    answers = validatorsOf(document);
  });
  afterAll(() => server.close());

  /** What background work says of what the requests left behind: only errors are logged here. */
  let log = '';
  const listen = () =>
    vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
      log += String(chunk);
      return true;
    });

  /** What is not as the document has it. */
  function mistakesOf(route: string, { status, type, body }: { status: number; type: string; body: string }): string[] {
    const documented = operations.get(route)!.responses[status];
    if (!documented) return ['a status that is not documented'];
    // Nobody takes the database away here.
    if (status >= 500) return ['a failure'];
    const [expected = ''] = Object.keys(documented.content ?? {});
    if (type.split(';')[0] !== expected) return [`${type} instead of ${expected}`];
    if (expected === '') return body === '' ? [] : ['a body'];
    const validate = answers.get(`${route} ${status}`)!;
    if (validate(JSON.parse(body))) return [];
    return validate.errors!.map(
      ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  }

  it('go to all routes of the server', () => {
    expect([...operations.keys()].toSorted()).toEqual(routes.toSorted());
  });

  it.each(routes)('%s', async (route) => {
    const operation = operations.get(route)!;
    const known = await makeSubjects(server);
    const stderr = listen();
    const idsOf = (name: string): readonly string[] => (name === 'id' ? known[kindOf(operation)] : known[name]) ?? [];

    await fc.assert(
      fc.asyncProperty(requestsTo(document, operation, idsOf), async (request) => {
        const { statusCode, headers, body } = await server.app.inject({
          method: operation.method,
          ...impatient(request),
        });

        const wrong = mistakesOf(route, { status: statusCode, type: String(headers['content-type'] ?? ''), body });

        expect(wrong.map((mistake) => `${mistake} in ${statusCode} ${body.slice(0, 500)}`)).toEqual([]);
      }),
      // Others for each route, or all versions would get the same.
      { seed: SEED + routes.indexOf(route), numRuns: RUNS, endOnFailure: false },
    );
    stderr.mockRestore();
  });

  it('leave nothing behind that background work fails on', async () => {
    const stderr = listen();
    // The leases that were not ended run out: what their end adds to was set by requests.
    await server.database.query(`UPDATE tasks SET lease_expires_at = now() WHERE lease_token IS NOT NULL`);
    await eventually(async () => {
      const [held] = await server.database.query<{ count: string }>(
        'SELECT count(*) FROM tasks WHERE lease_token IS NOT NULL AND lease_expires_at < now()',
      );
      expect(held).toEqual({ count: '0' });
    });
    stderr.mockRestore();

    expect(log).toBe('');
  });
});

/** A validator for each answer of each route, where an object has the fields that are documented and no others. */
function validatorsOf({ operations, schemas }: ApiDocument): Map<string, ValidateFunction> {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  const closed = Object.entries(schemas).map(([name, schema]): [string, Schema] => [
    name,
    // Problems carry what names the thing, e.g. task_id.
    schema.properties && schema.additionalProperties === undefined && name !== 'ProblemDocument'
      ? { ...schema, additionalProperties: false }
      : schema,
  ]);
  ajv.addSchema({ $id: 'api', components: { schemas: Object.fromEntries(closed) } });
  const validators = new Map<string, ValidateFunction>();
  for (const operation of operations) {
    for (const [status, { content = {} }] of Object.entries(operation.responses)) {
      const [schema] = Object.values(content).map(({ schema }) => schema);
      const text = JSON.stringify(schema ?? {}).replaceAll('"#/', '"api#/');
      validators.set(`${named(operation)} ${status}`, ajv.compile(JSON.parse(text) as object));
    }
  }
  return validators;
}

/** Waiting for a task that never comes is what the route is for, but not this test. */
const impatient = ({ payload, ...request }: RandomRequest): RandomRequest => ({
  ...request,
  payload: payload?.replaceAll(/"wait_seconds":[\d.e+-]+/g, '"wait_seconds":0'),
});

const kindOf = ({ path }: Operation): string => /^\/api(?:\/v\d)?\/(\w+)/.exec(path)?.[1] ?? '';

/** Some of everything, in several states: new for each route, as others may have removed what there was. */
async function makeSubjects(server: TestApp): Promise<Record<string, string[]>> {
  const { id: project_id } = await makeProject(server);
  const held = await makeAgent(server, { project_id, max_concurrent_tasks: 5, key: `fuzz-${randomInt(2 ** 40)}` });
  const tasks = [
    await makeTask(server, { project_id, tags: ['a'], input: { text: 'x' } }),
    await makeTask(server, { agent_type: held.type }),
    await makeTask(server, { agent_type: held.type, max_attempts: 1 }),
  ];
  const dependent = await makeTask(server, { dependencies: [tasks[0].id] });
  await lease(server, held, { max_tasks: 1 });
  const begun = await startRun(server, [{ key: 'a' }, { key: 'b', depends_on: ['a'], for_each: '[1, 2]' }]);
  const over = await startRun(server, [{ key: 'a', for_each: '[]' }]);
  return {
    projects: [project_id, (await makeProject(server)).id],
    auth: [(await makeKey(server)).id, (await makeKey(server, { project_id })).id],
    agents: [held.id, held.key, begun.agent.id],
    tasks: [...tasks, dependent].map(({ id }) => id),
    workflows: [begun.workflow_id, over.workflow_id],
    runs: [begun.run_id, over.run_id],
    agent_id: [held.id, begun.agent.id],
    dependency_id: tasks.map(({ id }) => id),
  };
}
