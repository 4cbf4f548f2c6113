/** An agent of the load as a process of its own, which can be killed: its options are the argument, as JSON. */
import { writeSync } from 'node:fs';
import { startWorker, type WorkerOptions } from './worker.js';

/** With `stop_at` it stops itself (as by SIGSTOP) when so many tasks are done, before the result is given; it says of which task. */
const { stop_at, ...options } = JSON.parse(process.argv[2]!) as WorkerOptions & { stop_at?: number };
const agent = startWorker({
  ...options,
  onDone: (count, task_id) => {
    if (count !== stop_at) return;
    writeSync(1, `${task_id}\n`);
    process.kill(process.pid, 'SIGSTOP');
  },
});
process.once('SIGTERM', () => void agent.stop());
// Whoever started it is gone.
process.stdin.resume().once('close', () => process.exit());
await agent.start();
console.log('started');
await agent.ended;
process.exit();
