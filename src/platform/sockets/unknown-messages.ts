import type { Socket } from 'socket.io';
import { describeError } from '../errors/describe-error.js';
import { spend } from './message-rate.js';
import { UnknownMessage } from './sockets.errors.js';

const SHOWN = 100;

/** Socket.IO itself listens for errors, so as not to end the process by one; they are no message of ours. */
const OWN_OF_THE_LIBRARY = 'error';

/** Nest hears only messages that it knows; who waits for the answer to another would wait for ever. */
export function answerUnknownMessages(socket: Socket, rate: number): void {
  // Also a number may be a name, whatever the types say; what is thrown here ends the process.
  socket.onAny((name: string | number, ...args: unknown[]) => {
    const acknowledge = args.at(-1);
    const isKnown = name !== OWN_OF_THE_LIBRARY && socket.listenerCount(String(name)) > 0;
    if (typeof acknowledge !== 'function' || isKnown) return;
    (acknowledge as (answer: unknown) => void)(refusalOf(socket, String(name).slice(0, SHOWN), rate));
  });
}

function refusalOf(socket: Socket, name: string, rate: number): unknown {
  try {
    spend(socket, rate);
    throw new UnknownMessage(name);
  } catch (error) {
    return describeError(error, name, null).body;
  }
}
