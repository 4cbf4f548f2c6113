import { validateSync } from 'class-validator';
import { Environment } from './environment.js';
import { dangersOf } from './exposure.js';

/** Older names of variables; the newer one wins when both are given. */
const ALIASES: Record<string, string> = { ENVIRONMENT: 'ENV', HOST: 'API_HOST', PORT: 'API_PORT' };

/** What else is the default there. */
const IN_PRODUCTION: Partial<Environment> = {
  LOG_FORMAT: 'json',
  // Load balancers ask every second or two whether a node is ready, and believe the second no.
  SHUTDOWN_GRACE_SECONDS: 5,
  ENABLE_RATE_LIMITING: true,
  // Far beyond what is slow: whose turns take a second can no longer be asked how it is.
  OVERLOAD_EVENT_LOOP_LAG_MS: 1_000,
  OVERLOAD_POOL_QUEUE: 500,
};

/** All that is wrong with the environment, in one message for the person who starts the server. */
export class BadEnvironment extends Error {
  constructor(readonly mistakes: readonly string[]) {
    super(`The environment has ${mistakes.length === 1 ? 'a mistake' : 'mistakes'}:\n  - ${mistakes.join('\n  - ')}`);
  }
}

/** Reads the variables once, at boot; an empty one counts as absent. Throws {@link BadEnvironment} naming every bad one. */
export function readEnvironment(source: NodeJS.ProcessEnv): Environment {
  const { environment, mistakes } = read(source);
  if (mistakes.length > 0) throw new BadEnvironment(mistakes);
  return environment;
}

/** For a server: also refuses, with every reason, what must not be where others can reach it. */
export function readServerEnvironment(source: NodeJS.ProcessEnv): Environment {
  const { environment, mistakes } = read(source);
  const all = [...mistakes, ...dangersOf(environment)];
  if (all.length > 0) throw new BadEnvironment(all);
  return environment;
}

function read(source: NodeJS.ProcessEnv): { environment: Environment; mistakes: string[] } {
  const environment = new Environment();
  for (const name of environmentFields()) {
    const given = source[name]?.trim() || source[ALIASES[name] ?? '']?.trim();
    if (given) Object.assign(environment, { [name]: convert(name, given, environment) });
  }
  if (environment.DEBUG && !source.LOG_LEVEL?.trim()) environment.LOG_LEVEL = 'debug';
  if (environment.ENVIRONMENT === 'production') {
    for (const [name, value] of Object.entries(IN_PRODUCTION)) {
      if (!source[name]?.trim()) Object.assign(environment, { [name]: value });
    }
  }

  const mistakes = validateSync(environment, { stopAtFirstError: true }).map(
    ({ property, value, constraints }) => `${Object.values(constraints!)[0]} (it is ${show(property, value)})`,
  );
  if (environment.OIDC_ISSUER !== '' && environment.OIDC_AUDIENCE === '') {
    mistakes.push("OIDC_AUDIENCE must be set where OIDC_ISSUER is: else the issuer's tokens for others would do");
  }
  return { environment, mistakes };
}

/** The names of the variables, in the order of the class. */
export function environmentFields(): string[] {
  return Object.keys(new Environment()).filter((name) => /^[A-Z]/.test(name));
}

function convert(name: string, given: string, environment: Environment): unknown {
  const fallback = environment[name as keyof Environment];
  if (typeof fallback === 'number') return /^-?\d+(\.\d+)?$/.test(given) ? Number(given) : given;
  if (typeof fallback === 'boolean') {
    if (/^(true|1|yes|on)$/i.test(given)) return true;
    if (/^(false|0|no|off)$/i.test(given)) return false;
    return given;
  }
  return /^(LOG_LEVEL|LOG_FORMAT|ENVIRONMENT|ROLE|AUTH_MODE)$/.test(name) ? given.toLowerCase() : given;
}

/** A URL may hold a password: only its kind is shown. */
const show = (name: string, value: unknown): string =>
  name.endsWith('_URL') ? 'not shown: it may hold a password' : `'${String(value)}'`;
