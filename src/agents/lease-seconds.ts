/** How long a lease lasts unless the agent asks for more; agents renew it by heartbeats. */
export const DEFAULT_LEASE_SECONDS = 12;
