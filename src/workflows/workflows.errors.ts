import { DomainError } from '../platform/errors/domain-error.js';
import type { RunStatus } from './run-state.js';

export class WorkflowNotFound extends DomainError {
  readonly kind = 'not_found';
  readonly code = 'workflow_not_found';

  constructor(workflow_id: string) {
    super(`No workflow has the id ${workflow_id}`, { workflow_id });
  }
}

export class RunNotFound extends DomainError {
  readonly kind = 'not_found';
  readonly code = 'run_not_found';

  constructor(run_id: string) {
    super(`No run has the id ${run_id}`, { run_id });
  }
}

export class RunMoveRefused extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'run_move_refused';

  constructor(run_id: string, from: RunStatus, to: RunStatus) {
    super(`A run that is ${from} cannot become ${to}`, { run_id, from, to });
  }
}

export class WorkflowMoveRefused extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'workflow_move_refused';

  constructor(workflow_id: string, reason: string) {
    super(reason, { workflow_id });
  }
}

export class WorkflowIsRunning extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'workflow_is_running';

  constructor(workflow_id: string, run_id: string, what: string) {
    super(`Run ${run_id} of the workflow is not over; ${what}`, { workflow_id, run_id });
  }
}

export class WorkflowInactive extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'workflow_inactive';

  constructor(workflow_id: string) {
    super('The workflow is inactive: set its status to active first', { workflow_id });
  }
}

export class RunIsOver extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'run_is_over';

  constructor({ id, status }: { id: string; status: string }) {
    super(`The task belongs to run ${id}, which is ${status}: rerun it, with from_failure to keep what succeeded`, {
      run_id: id,
      status,
    });
  }
}
