import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export type Answer = (method: string, url: string, body: Record<string, unknown>) => Promise<unknown>;

/** Bare `node:http`, at PORT: a JSON body in, a JSON body out, and nothing else. */
export function serveJson(answer: Answer, close: () => Promise<void>): void {
  const reply = (response: ServerResponse, status: number, body: unknown): void => {
    const text = JSON.stringify(body ?? null);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    response.writeHead(status, headers).end(text);
  };
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
      answer(request.method!, request.url!, body).then(
        (result) => reply(response, 200, result),
        (error: unknown) => reply(response, 500, { error: String(error) }),
      );
    });
  };
  createServer(serve).listen(Number(process.env.PORT), '127.0.0.1');
  process.on('SIGTERM', () => {
    void close().then(() => process.exit(0));
  });
}
