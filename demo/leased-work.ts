import { type Api, Refused } from './api.js';
import { perform } from './jobs.js';
import type { LeasedTask, LeaseRenewed } from './resources.js';

export const LEASE_SECONDS = 12;
const RENEW_EVERY_MS = (LEASE_SECONDS * 1000) / 3;
const RELEASE_WITHIN_MS = 2_000;

/** Does one task while keeping its lease, and hands in the result. Once stopped, it gives the task back. */
export async function work(api: Api, { task, lease }: LeasedTask, stopping: AbortSignal): Promise<void> {
  const path = `/api/v1/tasks/${task.id}/lease`;
  const lease_token = lease.token;
  let isCancelled = false;

  const renew = async () => {
    const renewed = await api.post<LeaseRenewed>(`${path}/heartbeat`, { lease_token, lease_seconds: LEASE_SECONDS });
    isCancelled = renewed.cancel_requested;
  };
  // A lease that is lost shows when the result is handed in.
  const renewal = setInterval(() => void renew().catch(() => undefined), RENEW_EVERY_MS);
  try {
    const result = await perform(task).then(
      (output) => ({ action: 'complete', body: { output } }),
      (error: unknown) => ({ action: 'fail', body: { error: { message: messageOf(error) }, retryable: false } }),
    );
    if (stopping.aborted || isCancelled) {
      await api.post(`${path}/release`, { lease_token }, { signal: AbortSignal.timeout(RELEASE_WITHIN_MS) });
    } else {
      await api.post(`${path}/${result.action}`, { lease_token, ...result.body });
    }
  } catch (error) {
    // The task is somebody else's by now, or nobody is there to take it back: its lease runs out.
    if (!stopping.aborted && !(error instanceof Refused && error.code === 'lease_lost')) throw error;
  } finally {
    clearInterval(renewal);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
