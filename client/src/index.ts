/** What the package shows; everything else is its own. */
export { type AgentOptions, type AgentProfile, FlightdeckAgent } from './agent.js';
export { type AgentReport } from './agent-report.js';
export type { components, operations, paths } from './api-types.js';
export {
  type CallOptions,
  type ClientOptions,
  createClient,
  type DataOf,
  type FlightdeckClient,
  type ItemOf,
} from './client.js';
export { FlightdeckError } from './flightdeck-error.js';
export type * from './resources.js';
export {
  type AbortCode,
  type Handler,
  type HandlerContext,
  TaskAborted,
  TaskFailure,
  TaskRelease,
} from './task-work.js';
export { type FlightdeckEvent, type Gap, type Watch, type WatchOptions } from './watch.js';
