import { IsBoolean, IsIn, IsString, Matches } from 'class-validator';
import {
  IsAddresses,
  IsAlgorithms,
  IsOptionalUrl,
  IsOrigins,
  IsWhole,
  readAddresses,
  readOrigins,
} from './variable-rules.js';

/** Every variable that Flightdeck reads, with its default. `.env.example` lists the same, in the same order. */
export class Environment {
  /** Where this runs. */
  @IsIn(['development', 'production', 'test'])
  ENVIRONMENT: string = 'development';

  /** Which part of the work this process does: all, api (HTTP and sockets) or worker (background work). */
  @IsIn(['all', 'api', 'worker'])
  ROLE: string = 'all';

  /** More detail in the log: sets LOG_LEVEL to debug when that is not given. */
  @IsBoolean()
  DEBUG: boolean = false;

  /** The address to listen on. Empty: 127.0.0.1 in development, 0.0.0.0 in production. */
  @IsString()
  HOST: string = '';

  /** The port to listen on; 0 picks a free one. */
  @IsWhole(0, 65535)
  PORT: number = 8000;

  /** Where the embedded database and files are kept. */
  @IsString()
  @Matches(/\S/, { message: 'DATA_DIR must not be empty' })
  DATA_DIR: string = './data';

  /** A PostgreSQL server (14 or newer), e.g. postgres://user:password@host:5432/flightdeck. Empty: embedded. */
  @IsOptionalUrl('postgres', 'postgresql')
  DATABASE_URL: string = '';

  /** Connections to the database that this process may hold. */
  @IsWhole(4, 500)
  DATABASE_POOL_SIZE: number = 20;

  /** Milliseconds after which a PostgreSQL server gives up a statement (the request gets 503); 0: never. */
  @IsWhole(0, 3_600_000)
  DATABASE_STATEMENT_TIMEOUT_MS: number = 30_000;

  /** Milliseconds that a statement may wait for a lock of another one before it is given up; 0: any time. */
  @IsWhole(0, 3_600_000)
  DATABASE_LOCK_TIMEOUT_MS: number = 10_000;

  /** Milliseconds that a transaction may do nothing before its connection is ended; 0: any time. */
  @IsWhole(0, 3_600_000)
  DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_MS: number = 30_000;

  /** A Redis server (6.2 or newer) for the job queue. Empty: the queue lives in the database. */
  @IsOptionalUrl('redis', 'rediss')
  REDIS_URL: string = '';

  /** Web origins that may call the API and open sockets: a comma list or a JSON list. */
  @IsOrigins()
  CORS_ORIGINS: string = 'http://localhost:3000,http://localhost:8000';

  /** Whether callers must prove who they are: required or off. Empty: off in development on a loopback address, else required. */
  @IsIn(['', 'required', 'off'])
  AUTH_MODE: string = '';

  /** Seals what is kept and may hold a secret; the same on all nodes, with 32 characters or more (openssl rand -hex 32). */
  @IsString()
  SECRET_KEY: string = 'for-development-only';

  /** The OIDC issuer whose tokens (JWT) are taken beside API keys, as its `iss` is written. Empty: none are. */
  @IsOptionalUrl('https', 'http')
  OIDC_ISSUER: string = '';

  /** The audience (`aud`) that its tokens must have. */
  @IsString()
  OIDC_AUDIENCE: string = '';

  /** Where the issuer's keys (JWKS) are. Empty: where its /.well-known/openid-configuration says. */
  @IsOptionalUrl('https', 'http')
  OIDC_JWKS_URL: string = '';

  /** The algorithms with which a token may be signed: a comma list. */
  @IsAlgorithms()
  OIDC_ALGORITHMS: string = 'RS256,PS256,ES256,EdDSA';

  /** The claim that names the role, or a list of roles; a.b is b within a. */
  @IsString()
  OIDC_ROLE_CLAIM: string = 'role';

  /** The claim that names the only project (id) of the caller; absent: all of them. */
  @IsString()
  OIDC_PROJECT_CLAIM: string = 'project_id';

  /** The claim that names the agent (id) that a caller of role agent is. */
  @IsString()
  OIDC_AGENT_CLAIM: string = 'agent_id';

  /** debug, info, warning or error. */
  @IsIn(['debug', 'info', 'warning', 'error'])
  LOG_LEVEL: string = 'info';

  /** standard (for people) or json (one object per line). Not given: json in production. */
  @IsIn(['standard', 'json'])
  LOG_FORMAT: string = 'standard';

  /** A port that serves /metrics alone, as a worker has no API; 0: none. */
  @IsWhole(0, 65535)
  METRICS_PORT: number = 0;

  /** The largest JSON body that is accepted, in bytes. */
  @IsWhole(1024, 104_857_600)
  BODY_LIMIT_BYTES: number = 1_048_576;

  /** Proxies whose X-Forwarded-For is believed: a comma list of addresses and networks, e.g. 10.0.0.0/8. Empty: none. */
  @IsAddresses()
  TRUST_PROXY: string = '';

  /** Limit how much one caller may ask for. Not given: true in production. */
  @IsBoolean()
  ENABLE_RATE_LIMITING: boolean = false;

  /** Reading requests that one key, or without keys one address, may make per minute; 0: any number. */
  @IsWhole(0, 1_000_000_000)
  RATE_LIMIT_READ_PER_MINUTE: number = 60_000;

  /** The same of requests that change something. */
  @IsWhole(0, 1_000_000_000)
  RATE_LIMIT_WRITE_PER_MINUTE: number = 30_000;

  /** The same of uploads. */
  @IsWhole(0, 1_000_000_000)
  RATE_LIMIT_UPLOAD_PER_MINUTE: number = 600;

  /** The same of what agents send to get, keep and finish tasks, and to say that they are there. */
  @IsWhole(0, 1_000_000_000)
  RATE_LIMIT_LEASE_PER_MINUTE: number = 300_000;

  /** The same of attempts to log in. */
  @IsWhole(0, 1_000_000_000)
  RATE_LIMIT_LOGIN_PER_MINUTE: number = 60;

  /** Sockets that one address may open per minute; 0: any number. */
  @IsWhole(0, 1_000_000_000)
  RATE_LIMIT_SOCKET_PER_MINUTE: number = 6_000;

  /** Sockets that one address may have open at a node; 0: any number. */
  @IsWhole(0, 1_000_000)
  SOCKETS_PER_ADDRESS: number = 2_000;

  /** How long a client may take to send the headers of a request, or its first byte, in seconds. */
  @IsWhole(1, 3_600)
  HTTP_HEADERS_TIMEOUT_SECONDS: number = 20;

  /** How long a client may take to send a whole request, in seconds. */
  @IsWhole(1, 86_400)
  HTTP_REQUEST_TIMEOUT_SECONDS: number = 60;

  /** How long nothing may come or go on a connection while a request is under way, in seconds: longer than a long poll. */
  @IsWhole(45, 86_400)
  HTTP_IDLE_TIMEOUT_SECONDS: number = 120;

  /** How long a connection is kept for the next request, in seconds: longer than a proxy in front keeps it. */
  @IsWhole(1, 3_600)
  HTTP_KEEP_ALIVE_SECONDS: number = 72;

  /** Average lag of the event loop beyond which new work is refused with 503; 0: never. Not given: 1000 in production. */
  @IsWhole(0, 600_000)
  OVERLOAD_EVENT_LOOP_LAG_MS: number = 0;

  /** Requests waiting for a connection to the database beyond which the same holds; 0: never. Not given: 500 in production. */
  @IsWhole(0, 1_000_000)
  OVERLOAD_POOL_QUEUE: number = 0;

  /** Keep the answers of lists and summaries that are asked often, until something of what they show changes. */
  @IsBoolean()
  ENABLE_CACHING: boolean = true;

  /** How long an answer is kept at most, in seconds. */
  @IsWhole(1, 86_400)
  CACHE_TTL_DEFAULT: number = 300;

  /** Answers that a process keeps in memory. */
  @IsWhole(1, 1_000_000)
  CACHE_MAX_ENTRIES: number = 5_000;

  /** Bytes that they may take together; what was not asked for the longest time goes first. */
  @IsWhole(65_536, 17_179_869_184)
  CACHE_MAX_BYTES: number = 67_108_864;

  /** Silence after which an agent counts as offline, in seconds. */
  @IsWhole(1, 86_400)
  AGENT_OFFLINE_AFTER_SECONDS: number = 15;

  /** How often expired leases, silent agents and due runs are looked for, in seconds. */
  @IsWhole(1, 60)
  SWEEP_EVERY_SECONDS: number = 2;

  /** A tick of a schedule that no server saw in time is made up for within so many seconds; later it is left out. */
  @IsWhole(0, 604_800)
  SCHEDULE_CATCH_UP_SECONDS: number = 300;

  /** How long the answer to a request with an Idempotency-Key is kept, in hours. */
  @IsWhole(1, 720)
  IDEMPOTENCY_KEEP_HOURS: number = 24;

  /** Whether each request that changes something, or tries to, leaves a record in the event log. */
  @IsBoolean()
  ENABLE_REQUEST_AUDIT: boolean = true;

  /** Age at which events are removed, in days; 0 keeps them for ever. */
  @IsWhole(0, 36_500)
  EVENT_RETENTION_DAYS: number = 0;

  /** Age at which finished runs are removed with their tasks, in days since they ended; 0 keeps them for ever. */
  @IsWhole(0, 36_500)
  RUN_RETENTION_DAYS: number = 0;

  /** Bytes that may wait for a socket that does not read before it is disconnected. */
  @IsWhole(16_384, 1_073_741_824)
  SOCKET_BUFFER_LIMIT_BYTES: number = 1_048_576;

  /** Messages that one socket may send per second, with bursts of twice that. */
  @IsWhole(1, 100_000)
  SOCKET_MESSAGES_PER_SECOND: number = 50;

  /** How long a stopping api node serves on while /health/ready says that it stops, in seconds. Not given: 5 in production. */
  @IsWhole(0, 300)
  SHUTDOWN_GRACE_SECONDS: number = 0;

  /** How long a stopping server then waits for what is under way, in seconds. */
  @IsWhole(1, 300)
  SHUTDOWN_TIMEOUT_SECONDS: number = 8;

  get is_embedded(): boolean {
    return this.DATABASE_URL === '';
  }

  get serves_http(): boolean {
    return this.ROLE !== 'worker';
  }

  get does_background_work(): boolean {
    return this.ROLE !== 'api';
  }

  get host(): string {
    return this.HOST || (this.ENVIRONMENT === 'production' ? '0.0.0.0' : '127.0.0.1');
  }

  get trusted_proxies(): string[] {
    return readAddresses(this.TRUST_PROXY);
  }

  /** Others than the programs of this machine may reach it. */
  get is_exposed(): boolean {
    return this.ENVIRONMENT === 'production' || !isLoopback(this.host);
  }

  get requires_authentication(): boolean {
    return this.AUTH_MODE === '' ? this.is_exposed : this.AUTH_MODE === 'required';
  }

  get oidc_algorithms(): string[] {
    return this.OIDC_ALGORITHMS.split(',').map((name) => name.trim());
  }

  get cors_origins(): string[] {
    return readOrigins(this.CORS_ORIGINS) ?? [];
  }
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);
