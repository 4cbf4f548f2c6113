import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import {
  type BackupHeader,
  BackupRefused,
  FORMAT,
  FORMAT_VERSION,
  type Line,
  type SequenceState,
} from './backup-format.js';

const NEW_LINE = 0x0a;
const ARRAY = 0x5b;

/** What a file says, in its order. Rows come as their JSON text. */
export type Item =
  | { kind: 'header'; header: BackupHeader }
  | { kind: 'table'; name: string }
  | { kind: 'row'; text: string; table: string }
  | { kind: 'end'; rows: Record<string, number>; sequences: SequenceState[] };

/**
 * Reads the file line by line. Throws {@link BackupRefused} when it is no backup, or is cut off or damaged: which may be
 * known only at its end, so read it to the end before you rely on it.
 */
export async function* readBackup(file: string): AsyncGenerator<Item> {
  const damaged = (reason: string): BackupRefused =>
    new BackupRefused(`${file} is damaged or not complete (${reason}).`);
  const hash = createHash('sha256');
  const counts: Record<string, number> = {};
  let table: string | null = null;
  let header: BackupHeader | null = null;
  let end: Extract<Item, { kind: 'end' }> | null = null;
  let isWhole = false;

  for await (const bytes of linesOf(file)) {
    if (isWhole) throw damaged('something follows its end');
    if (bytes[0] !== ARRAY) {
      if (table === null || end) throw header ? damaged('a row stands outside a table') : noBackup(file);
      counts[table] = (counts[table] ?? 0) + 1;
      hash.update(bytes).update('\n');
      yield { kind: 'row', text: bytes.toString(), table };
      continue;
    }
    const [word, content] = parse(bytes, () => (header ? damaged('a line is no JSON') : noBackup(file)));
    if (header === null) {
      if (word !== FORMAT) throw noBackup(file);
      header = checked(file, content);
      yield { kind: 'header', header };
    } else if (word === 'table') {
      table = content;
      counts[table] ??= 0;
      yield { kind: 'table', name: table };
    } else if (word === 'end') {
      end = { kind: 'end', ...content };
    } else if (word === 'sha256') {
      if (!end || content !== hash.digest('hex')) throw damaged('its checksum is another');
      isWhole = true;
      continue;
    }
    hash.update(bytes).update('\n');
  }
  if (header === null) throw noBackup(file);
  if (!isWhole || !end) throw damaged('its end is missing');
  for (const [name, count] of Object.entries(end.rows)) {
    if (counts[name] !== count) throw damaged(`${name} has ${counts[name] ?? 0} rows instead of ${count}`);
  }
  yield end;
}

/** Reads the whole file and answers its header. */
export async function verifyBackup(file: string): Promise<BackupHeader> {
  let header: BackupHeader | undefined;
  for await (const item of readBackup(file)) if (item.kind === 'header') header = item.header;
  return header!;
}

const noBackup = (file: string): BackupRefused => new BackupRefused(`${file} is no backup of Flightdeck.`);

function parse(bytes: Buffer, error: () => Error): Line {
  try {
    return JSON.parse(bytes.toString()) as Line;
  } catch {
    throw error();
  }
}

function checked(file: string, header: BackupHeader): BackupHeader {
  if (header.version === FORMAT_VERSION) return header;
  throw new BackupRefused(`${file} has format ${header.version}, but this Flightdeck reads format ${FORMAT_VERSION}.`);
}

/** Not by `readline`, which also ends lines at characters that rows may hold. */
async function* linesOf(file: string): AsyncGenerator<Buffer> {
  const source = createReadStream(file);
  const unzipped = createGunzip();
  source.once('error', (error) => unzipped.destroy(error));
  source.pipe(unzipped);
  let unread: Buffer[] = [];
  try {
    for await (const chunk of unzipped as AsyncIterable<Buffer>) {
      let begin = 0;
      for (let at = chunk.indexOf(NEW_LINE); at >= 0; at = chunk.indexOf(NEW_LINE, begin)) {
        yield Buffer.concat([...unread, chunk.subarray(begin, at)]);
        unread = [];
        begin = at + 1;
      }
      if (begin < chunk.length) unread.push(chunk.subarray(begin));
    }
  } catch (error) {
    throw unreadable(file, error as NodeJS.ErrnoException);
  } finally {
    source.destroy();
    unzipped.destroy();
  }
  if (unread.length > 0) throw new BackupRefused(`${file} is damaged or not complete (it ends within a line).`);
}

function unreadable(file: string, error: NodeJS.ErrnoException): Error {
  if (error instanceof BackupRefused) return error;
  if (error.code === 'ENOENT') return new BackupRefused(`There is no file ${file}.`);
  if (error.code === 'Z_DATA_ERROR' && error.message.includes('incorrect header')) return noBackup(file);
  if (error.code?.startsWith('Z_')) return new BackupRefused(`${file} is damaged or not complete (${error.message}).`);
  return error.code ? new BackupRefused(`${file} cannot be read (${error.code}).`) : error;
}
