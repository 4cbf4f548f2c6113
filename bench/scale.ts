/** How much is measured, and for how long. */
export interface Scale {
  rows: number;
  /** Of each of the turns under load. */
  seconds: number;
  page: number;
  page_samples: number;
  tasks: number;
  wake_ups: number;
  flood: number;
  flood_seconds: number;
  sockets: number;
  messages_each: number;
  agents: number;
  watch_seconds: number;
}

export const FULL: Scale = {
  rows: 1_000_000,
  seconds: 5,
  page: 1_000,
  page_samples: 200,
  tasks: 20_000,
  wake_ups: 400,
  flood: 10_000,
  flood_seconds: 12,
  sockets: 5_000,
  messages_each: 200,
  agents: 1_000,
  watch_seconds: 24,
};

/** Shows that everything runs, and whether something is far off. */
export const QUICK: Scale = {
  rows: 50_000,
  seconds: 1,
  page: 200,
  page_samples: 50,
  tasks: 1_500,
  wake_ups: 40,
  flood: 1_000,
  flood_seconds: 2,
  sockets: 500,
  messages_each: 100,
  agents: 200,
  watch_seconds: 4,
};
