import { StartupError } from '../errors/startup-error.js';

/**
 * A backup is a gzip'd text. Each line is JSON: an array says what comes (its first item is a word of `Line`), an object
 * is a row of the table named last, with PostgreSQL's own text for each value that is not NULL. So it says the same for
 * both kinds of database, and can be read without this program: `gunzip < file | less`.
 */
export const FORMAT = 'flightdeck-backup';
export const FORMAT_VERSION = 1;

export interface BackupHeader {
  version: number;
  created_at: string;
  flightdeck_version: string;
  /** The migrations that the database had, oldest first. */
  migrations: string[];
  /** All events before this transaction id of the log's time are in the backup. */
  log_horizon: string;
  /** In the order of the file: what others refer to comes first. */
  tables: { name: string; columns: string[] }[];
}

export interface SequenceState {
  table: string;
  column: string;
  last_value: string;
  is_called: boolean;
}

/** The lines that are no rows. */
export type Line =
  | [typeof FORMAT, BackupHeader]
  | ['table', string]
  | ['end', { rows: Record<string, number>; sequences: SequenceState[] }]
  /** Of all bytes before this line, uncompressed. */
  | ['sha256', string];

/** Why a backup was not made or not restored, in one sentence. */
export class BackupRefused extends StartupError {}
