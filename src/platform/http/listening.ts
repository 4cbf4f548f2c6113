import { once } from 'node:events';
import { createServer } from 'node:net';
import { StartupError } from '../errors/startup-error.js';

/** Throws a StartupError when the server could not listen there: before it has done anything else. */
export async function assertCanListen(host: string, port: number): Promise<void> {
  const probe = createServer().listen(port, host);
  try {
    await once(probe, 'listening');
  } catch (error) {
    throw whyNotListening(error as NodeJS.ErrnoException, host, port);
  }
  probe.close();
  await once(probe, 'close');
}

export function whyNotListening(error: NodeJS.ErrnoException, host: string, port: number): Error {
  if (error.code === 'EADDRINUSE') {
    return new StartupError(`Port ${port} on ${host} is in use by another program. Stop it, or set PORT to another.`);
  }
  if (error.code === 'EACCES' || error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') {
    return new StartupError(`Cannot listen on ${host}:${port} (${error.code}). Set HOST and PORT to others.`);
  }
  return error;
}
