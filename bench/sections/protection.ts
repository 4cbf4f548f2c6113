import { atLeast } from '../goal.js';
import { HttpClient } from '../http-client.js';
import { inTurnsWarmedUp, type Pair } from '../in-turns.js';
import { load, type Load, type Request } from '../load.js';
import type { ServerProcess } from '../server-process.js';
import type { Stage } from '../stage.js';
import { loadRows, type Row } from '../table.js';

const CONNECTIONS = 50;
/** They are counted, and never reached. */
const LIMIT = '1000000000';

/** With access, limits and the audit of requests, beside the same server without all three. */
export async function protection(stage: Stage): Promise<Row[]> {
  const bare = await stage.flightdeck({ ENABLE_REQUEST_AUDIT: 'false' });
  const ours = await stage.flightdeck({
    ENVIRONMENT: 'production',
    HOST: '127.0.0.1',
    AUTH_MODE: 'required',
    SECRET_KEY: 'for the time of a benchmark, and for nothing else',
    ENABLE_RATE_LIMITING: 'true',
    RATE_LIMIT_READ_PER_MINUTE: LIMIT,
    RATE_LIMIT_WRITE_PER_MINUTE: LIMIT,
    ENABLE_REQUEST_AUDIT: 'true',
  });
  const client = new HttpClient(bare.url, 1);
  const { key } = await client.call<{ key: string }>('POST', '/api/v1/auth/keys', { name: 'Bench', role: 'operator' });
  const task = await client.call<{ id: string }>('POST', '/api/v1/tasks', { title: 'To be read' });
  client.close();

  const sides: Pair<ServerProcess> = { ours, bare };
  const measure = async (request: Request): Promise<Pair<Load[]>> =>
    inTurnsWarmedUp(sides, stage.scale.seconds, ({ url }, seconds) =>
      load(url, { ...request, ...(url === ours.url && { token: key }) }, { connections: CONNECTIONS, seconds }),
    );
  const body = { title: 'Summarise the release notes', agent_type: 'nobody', input: { version: 12 } };
  const created = await measure({ method: 'POST', path: '/api/v1/tasks', body });
  const got = await measure({ method: 'GET', path: `/api/v1/tasks/${task.id}` });
  await Promise.all([ours.stop(), bare.stop()]);
  return [
    ...loadRows('create task, protected (baseline: not)', created, { ratio: atLeast(0.8) }),
    ...loadRows('get task, protected (baseline: not)', got, { ratio: atLeast(0.85) }),
  ];
}
