import { FlightdeckAgent, TaskFailure } from '@flightdeck/client';
import { perform } from './jobs.js';

const SLOTS = 4;
/** The parent waits longer, and the server gives the rest to others anyway. */
const STOP_TIMEOUT_SECONDS = 2;

/** A process that works for the fleet: `node agent.js <url> <type> <key> <name> [crash after so many tasks]`. */
const [url = '', type = '', key = '', name = '', crashAfter = ''] = process.argv.slice(2);
const tasksUntilCrash = crashAfter === '' ? Infinity : Number(crashAfter);
let done = 0;

const agent = new FlightdeckAgent({
  url,
  type,
  key,
  profile: { name, tags: ['demo'] },
  concurrency: SLOTS,
  stopTimeoutSeconds: STOP_TIMEOUT_SECONDS,
  handler: async (task) => {
    // On purpose, as a real crash would: without a word, and with the lease in its hands.
    if (done >= tasksUntilCrash) process.kill(process.pid, 'SIGKILL');
    try {
      return await perform(task);
    } catch (error) {
      // The same files would fail in the same way.
      throw new TaskFailure(error instanceof Error ? error.message : String(error), { cause: error, retryable: false });
    } finally {
      done++;
    }
  },
});

const stop = () => void agent.stop();
process.once('SIGTERM', stop);
// The parent went away without a word.
process.once('disconnect', stop);
// Ctrl-C reaches the whole group of processes; the parent decides in which order they stop.
process.on('SIGINT', () => undefined);

await agent.start();
process.send?.('ready');
await agent.ended;
if (process.connected) process.disconnect();
