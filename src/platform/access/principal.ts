/** What a caller may do: each role is declared on every handler by `@Access`. */
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
}
