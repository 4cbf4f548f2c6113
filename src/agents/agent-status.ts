export enum AgentStatus {
  Active = 'active',
  Idle = 'idle',
  Busy = 'busy',
  Waiting = 'waiting',
  Offline = 'offline',
  Error = 'error',
}

/** How work reaches an agent. Pull: it leases tasks over the API. */
export enum AgentRunner {
  Pull = 'pull',
}
