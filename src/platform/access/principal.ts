/** What a caller may do: which roles each handler lets in is declared by `@Access`. */
export enum Role {
  /** Reads. */
  Viewer = 'viewer',
  /** Reads, creates and runs, answers. */
  Operator = 'operator',
  /** Does tasks: only as itself, and only its own. */
  Agent = 'agent',
  /** Everything. */
  Admin = 'admin',
}

/** Who is calling, as its credential proves. */
export interface Principal {
  kind: 'api_key' | 'token';
  /** Of the key; of a token, its subject. */
  id: string;
  name: string;
  role: Role;
  /** The only project it sees, beside what belongs to none; null: all of them. */
  project_id: string | null;
  /** The part of an API key that may be shown; null for a token. */
  key_prefix: string | null;
  /** Of role agent: the one that it is; null as long as it has registered none, and for other roles. */
  agent_id: string | null;
  /** When the credential ends by itself; null: never. */
  expires_at: Date | null;
}

/** Whether its credential has ended by itself. */
export const isOver = ({ expires_at }: Principal): boolean => expires_at !== null && expires_at.getTime() <= Date.now();

/** Whether it may do the same in the same place, though its credential may be another. */
export const isSameCaller = (one: Principal, other: Principal): boolean =>
  one.role === other.role && one.project_id === other.project_id && one.agent_id === other.agent_id;
