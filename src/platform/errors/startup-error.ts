/** Why the server cannot start, in one sentence for the person who started it. It ends the process with code 1. */
export class StartupError extends Error {}
