export const CACHED = 'cached';

export interface CachedOptions {
  /** Types of the events that change what is shown; `task_*` stands for all with that beginning. */
  until: readonly string[];
  /** For what also changes with time: so long it may be shown, if that is less than usual. */
  seconds?: number;
}

export const cachedOptionsOf = (handler: object): CachedOptions =>
  Reflect.getMetadata(CACHED, handler) as CachedOptions;
