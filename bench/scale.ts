/** How much is measured, and for how long. */
export interface Scale {
  rows: number;
  /** Of each of the turns under load. */
  seconds: number;
  page: number;
  page_samples: number;
  /** So many at most, created for so long at most. */
  tasks: number;
  tasks_seconds: number;
  wake_ups: number;
  flood: number;
  /** Of each of the two: alone, and beside the flood. */
  flood_seconds: number;
  sockets: number;
  messages_each: number;
  agents: number;
  /** Until a server is quiet again, and how long PostgreSQL is watched then. */
  settle_seconds: number;
  watch_seconds: number;
}

export const FULL: Scale = {
  rows: 1_000_000,
  seconds: 4,
  page: 1_000,
  page_samples: 200,
  tasks: 20_000,
  tasks_seconds: 20,
  wake_ups: 300,
  flood: 10_000,
  flood_seconds: 10,
  sockets: 5_000,
  messages_each: 200,
  agents: 1_000,
  settle_seconds: 10,
  watch_seconds: 20,
};

/** Shows that everything runs, and whether something is far off. */
export const QUICK: Scale = {
  rows: 30_000,
  seconds: 0.5,
  page: 200,
  page_samples: 30,
  tasks: 1_500,
  tasks_seconds: 2,
  wake_ups: 30,
  flood: 1_000,
  flood_seconds: 2,
  sockets: 300,
  messages_each: 100,
  agents: 100,
  settle_seconds: 1,
  watch_seconds: 2,
};
