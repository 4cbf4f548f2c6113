/** Runs a command in our terminal and waits for its end, also when we are told to stop: nothing is left behind. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { ROOT } from './root.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Resolves with the exit code, in the shell's way: 128 and the signal's number when a signal ended it. */
export function runCommand(command, args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, env, stdio: 'inherit' });

    // A terminal sends Ctrl-C to the child as well; a second one would tell it to give up its clean end.
    const passOn = (signal) => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    const listenTo = (change) => SIGNALS.forEach((signal) => process[change](signal, passOn));

    listenTo('on');
    child.once('error', (error) => {
      listenTo('off');
      reject(error);
    });
    child.once('exit', (code, signal) => {
      listenTo('off');
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

export const runNode = (file, args = [], env = process.env) => runCommand(process.execPath, [file, ...args], env);
