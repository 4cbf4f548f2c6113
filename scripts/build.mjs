/** `npm run build`: builds even when nothing changed. */
import { compile } from './compile.mjs';
import { ensureInstalled } from './ensure.mjs';
import { oneAtATime } from './one-at-a-time.mjs';

ensureInstalled();
oneAtATime(compile);
