/**
 * A two-step workflow in DBOS behind bare `node:http`, at PORT: a POST starts one and is answered when it has ended. The
 * steps are functions of this process that do nothing; DBOS writes the workflow, each step's result and the end to
 * PostgreSQL. No telemetry, no console of theirs.
 */
import { createServer } from 'node:http';
import { DBOS } from '@dbos-inc/dbos-sdk';

DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl: process.env.DATABASE_URL,
  systemDatabasePoolSize: Number(process.env.DATABASE_POOL_SIZE),
  logLevel: 'error',
  enableOTLP: false,
});

const twoSteps = DBOS.registerWorkflow(
  async (input) => {
    const one = await DBOS.runStep(async () => input, { name: 'one' });
    return DBOS.runStep(async () => one, { name: 'two' });
  },
  { name: 'two_steps' },
);
await DBOS.launch();

async function run() {
  const handle = await DBOS.startWorkflow(twoSteps)({ about: 'nothing' });
  return handle.getResult();
}

const server = createServer((request, response) => {
  const reply = (status, body) => {
    const text = JSON.stringify(body ?? null);
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(text);
  };
  request.resume().on('end', () => {
    if (request.method !== 'POST') return reply(200, { status: 'ready' });
    run().then(
      (result) => reply(201, result),
      (error) => reply(500, { error: String(error) }),
    );
  });
}).listen(Number(process.env.PORT), '127.0.0.1');

process.on('SIGTERM', () => {
  server.close();
  void DBOS.shutdown().then(() => process.exit(0));
});
