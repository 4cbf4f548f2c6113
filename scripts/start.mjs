/** `npm start`: from a fresh clone to a running server. The server is this process, so signals reach it directly. */
import { endWithParent } from './end-with-parent.mjs';
import { ensureBuilt, ensureInstalled } from './ensure.mjs';

ensureInstalled();
ensureBuilt();
await import('../dist/src/main.js');
endWithParent();
