import type { components } from './api-types.js';

type Schemas = components['schemas'];

/** The API's resources under their own names; every other shape is in `components['schemas']`. */
export type Agent = Schemas['AgentResponse'];
export type Task = Schemas['TaskResponse'];
export type LeasedTask = Schemas['LeasedTaskResponse'];
export type Workflow = Schemas['WorkflowResponse'];
export type Run = Schemas['RunResponse'];
export type Project = Schemas['ProjectResponse'];
export type LoggedEvent = Schemas['EventResponse'];
export type ProblemDocument = Schemas['ProblemDocument'];
