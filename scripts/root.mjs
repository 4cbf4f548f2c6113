/** Where the repository is: every script works from here, whatever directory it was started in. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

export const inRoot = (...parts) => join(ROOT, ...parts);
