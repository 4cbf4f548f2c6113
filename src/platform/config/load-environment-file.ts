import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';

/** Reads `.env` from the working directory, if there is one. Variables that are set already win. */
export function loadEnvironmentFile(): void {
  if (existsSync('.env')) loadEnvFile('.env');
}
