/** The parts of the API's resources that the demo reads. */
export interface Agent {
  id: string;
  name: string;
}

export interface Task {
  id: string;
  step_key: string | null;
  title: string;
  status: string;
  input: Record<string, unknown>;
  output: unknown;
  attempt: number;
}

export interface LeasedTask {
  task: Task;
  lease: { token: string; expires_at: string; attempt: number };
}

export interface LeaseRenewed {
  expires_at: string;
  cancel_requested: boolean;
}

export interface Workflow {
  id: string;
  name: string;
}

export interface RunStep {
  key: string;
  status: string;
  tasks_total: number;
  tasks_completed: number;
  output: unknown;
  error: { message?: string } | string | null;
}

export interface Run {
  id: string;
  status: string;
  steps: RunStep[];
  started_at: string | null;
  completed_at: string | null;
}
