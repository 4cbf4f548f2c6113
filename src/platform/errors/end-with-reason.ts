import { inspect } from 'node:util';
import { BadEnvironment } from '../config/read-environment.js';
import { maskSecrets } from '../logging/mask-secrets.js';
import { StartupError } from './startup-error.js';

/** Ends the process with code 1 and says why: one sentence where the reason is known, the stack where it is not. */
export function endWithReason(error: unknown, failure = 'Flightdeck cannot start'): never {
  const isKnown = error instanceof StartupError || error instanceof BadEnvironment;
  console.error(maskSecrets(isKnown ? `${failure}: ${error.message}` : inspect(error)));
  process.exit(1);
}
