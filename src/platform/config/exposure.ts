import { Environment } from './environment.js';

const SHORTEST_SECRET_KEY = 32;

/** Why a server that others can reach must not start so; empty: it may. */
export function dangersOf(environment: Environment): string[] {
  if (!environment.serves_http || !environment.is_exposed) return [];
  const { ENVIRONMENT, host, AUTH_MODE, SECRET_KEY, DEBUG, cors_origins } = environment;
  const where = ENVIRONMENT === 'production' ? 'with ENVIRONMENT=production' : `on ${host}, which others can reach`;
  const dangers = {
    [`AUTH_MODE must not be off ${where}`]: AUTH_MODE === 'off',
    [`SECRET_KEY must be set ${where}`]: SECRET_KEY === new Environment().SECRET_KEY,
    [`SECRET_KEY must have ${SHORTEST_SECRET_KEY} characters or more ${where}`]:
      SECRET_KEY.length < SHORTEST_SECRET_KEY,
    [`CORS_ORIGINS must name the origins ${where}: with * any page could use the credentials of who looks at it`]:
      cors_origins.includes('*'),
    [`DEBUG must be off ${where} (LOG_LEVEL=debug gives more detail in the log)`]: DEBUG,
  };
  return Object.keys(dangers).filter((reason) => dangers[reason]);
}
