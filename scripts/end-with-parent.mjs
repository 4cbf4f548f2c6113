/**
 * Ends this server when npm, which started it, is gone. npm passes SIGTERM on to the shell between us, and a shell that
 * stayed there (dash does, without `exec` in package.json) ends without telling us.
 */
const LOOK_EVERY_MS = 250;

const PARENT = process.ppid;

/** To be called when the server listens to signals itself: a listener of ours alone would keep them from ending it. */
export function endWithParent() {
  if (!process.env.npm_lifecycle_event) return;
  const timer = setInterval(() => {
    if (process.ppid === PARENT) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK_EVERY_MS).unref();

  // A second signal would end at once what the first one asked to finish.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    if (process.listenerCount(signal) > 0) process.once(signal, () => clearInterval(timer));
  }
}
