import type { Socket } from 'socket.io';
import { describeError } from '../errors/describe-error.js';
import { spend } from './message-rate.js';
import { UnknownMessage } from './sockets.errors.js';

const SHOWN = 100;

/** Nest hears only messages that it knows; who waits for the answer to another would wait for ever. */
export function answerUnknownMessages(socket: Socket, rate: number): void {
  socket.onAny((name: string, ...args: unknown[]) => {
    const acknowledge = args.at(-1);
    if (typeof acknowledge !== 'function' || socket.listenerCount(name) > 0) return;
    (acknowledge as (answer: unknown) => void)(refusalOf(socket, name.slice(0, SHOWN), rate));
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
