import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import { isatty } from 'node:tty';
import type { Environment } from '../config/environment.js';
import { currentContext } from '../context/request-context.js';
import { maskSecrets } from './mask-secrets.js';
import { indented, oneLine } from './one-line.js';

const LEVELS: Record<string, LogLevel[]> = {
  debug: ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'],
  info: ['fatal', 'error', 'warn', 'log'],
  warning: ['fatal', 'error', 'warn'],
  error: ['fatal', 'error'],
};

/** What Nest tells of its own start: of interest to those who look for a fault, with LOG_LEVEL=debug. */
const START_UP = new Set([
  'NestFactory',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestApplication',
  'WebSocketsController',
]);

/**
 * Lines for people, or one JSON object per line; both with the request that they belong to, no passwords, and nothing that
 * could pass for another line.
 */
export class Log extends ConsoleLogger {
  constructor({ LOG_LEVEL, LOG_FORMAT }: Environment) {
    super({
      prefix: 'Flightdeck',
      logLevels: LEVELS[LOG_LEVEL]!,
      json: LOG_FORMAT === 'json',
      flattenParams: true,
      // `isTTY` is undefined where there is no terminal, and Nest would then decide by itself.
      colors: LOG_FORMAT !== 'json' && isatty(process.stdout.fd),
    });
    // Of what is colourful, nobody could say which escape sequences are ours.
    this.inspectOptions.colors = false;
  }

  override log(message: unknown, ...rest: unknown[]): void {
    if (START_UP.has(String(rest.at(-1)))) this.debug(message, ...rest);
    else super.log(message, ...(rest as []));
  }

  protected override getJsonLogObject(...parameters: Parameters<ConsoleLogger['getJsonLogObject']>) {
    const { request_id, actor_type, actor_id, endpoint } = currentContext();
    return {
      ...super.getJsonLogObject(...parameters),
      ...(request_id && { request_id }),
      ...(endpoint && { actor_type, actor_id, endpoint }),
    };
  }

  protected override stringifyJsonLogObject(logObject: Record<string, unknown>): string {
    // JSON itself escapes only the control characters of ASCII.
    return oneLine(maskSecrets(super.stringifyJsonLogObject(logObject)));
  }

  protected override stringifyMessage(message: unknown, logLevel: LogLevel): string {
    if (typeof message === 'string') return super.stringifyMessage(oneLine(message), logLevel);
    return indented(super.stringifyMessage(message, logLevel));
  }

  protected override stringifyParams(...parameters: Parameters<ConsoleLogger['stringifyParams']>): string {
    return indented(super.stringifyParams(...parameters));
  }

  protected override formatMessage(...parameters: Parameters<ConsoleLogger['formatMessage']>): string {
    return maskSecrets(super.formatMessage(...parameters));
  }

  protected override printStackTrace(stack: string): void {
    super.printStackTrace(stack && indented(maskSecrets(stack)));
  }

  protected override formatContext(context: string): string {
    const { request_id } = currentContext();
    return super.formatContext(request_id ? `${context} ${request_id}` : context);
  }
}
