/** An agent's id (a UUID) or its key. */
export const AGENT_REF = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$/;
