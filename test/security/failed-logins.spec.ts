import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Logger } from '@nestjs/common';
import { bearer, firstKey } from '../support/keys.js';
import { SocketClient } from '../support/socket-client.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const UNKNOWN = `fd_${'0'.repeat(12)}_${'0'.repeat(48)}`;

describe('a refused credential', () => {
  let server: TestApp;
  let url: string;
  let warnings: string[];

  beforeEach(async () => {
    warnings = [];
    vi.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void warnings.push(String(message)));
    server = await startTestApp({ environment: { AUTH_MODE: 'required' }, isListening: true });
    url = await server.listen();
    return () => server.close();
  });
  afterEach(() => vi.restoreAllMocks());

  const ask = (token: string) => server.get('/api/v1/auth/me', bearer(token));

  it('is counted for the metrics', async () => {
    await ask(UNKNOWN);
    await ask('nonsense');
    await SocketClient.connect(url, { auth: { token: UNKNOWN } }).catch(() => undefined);

    const { body } = await server.get<string>('/metrics');

    expect(body).toMatch(/^flightdeck_credentials_refused_total 3$/m);
  });

  it('is logged with its address, without its secret and without what it made up', async () => {
    const secret = 'a'.repeat(48);
    const forged = '\u001b[2J\r\n[Flightdeck] LOG all is well';
    await ask(`fd_${'b'.repeat(12)}_${secret}`);
    await SocketClient.connect(url, { auth: { token: forged } }).catch(() => undefined);

    expect(warnings.join('|')).toMatch(/Refused the API key fd_b{12}_\*\*\* from 127\.0\.0\.1 \(1 of late\)/);
    expect(warnings.join('|')).toMatch(/Refused a credential from [\w.:]+ \(2 of late\)/);
    for (const warning of warnings) {
      expect(warning).not.toContain(secret);
      expect(warning).not.toContain('all is well');
      // oxlint-disable-next-line no-control-regex
      expect(warning).not.toMatch(/[\u0000-\u001f\u007f]/);
    }
  });

  it('does not fill the log', async () => {
    await Promise.all(Array.from({ length: 100 }, () => ask(UNKNOWN)));

    expect(warnings.map((warning) => Number(/\((\d+) of late/.exec(warning)?.[1]))).toEqual([1, 2, 4, 8, 16, 32, 64]);
  });

  it('waits longer with each failure, while who has the right key never waits', async () => {
    const key = await firstKey(server);
    const { prefix } = /_(?<prefix>\w{12})_/.exec(key)!.groups!;
    await Promise.all(Array.from({ length: 20 }, () => ask(UNKNOWN)));
    // After 20 failures it waits the longest time there is.
    const order: string[] = [];

    const refused = ask(`fd_${prefix}_${'0'.repeat(48)}`).then(({ status }) => order.push(`refused ${status}`));
    const admitted = ask(key).then(({ status }) => order.push(`admitted ${status}`));
    await Promise.all([refused, admitted]);

    expect(order).toEqual(['admitted 200', 'refused 401']);
  });
});
