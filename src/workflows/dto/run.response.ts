import { ApiProperty } from '@nestjs/swagger';
import {
  ShownId,
  ShownJson,
  ShownNumber,
  ShownObject,
  ShownText,
  ShownTime,
  ShownWhole,
} from '../../platform/http/response-fields.js';
import { TaskFailureDto } from '../../tasks/dto/task-fields.js';
import type { TaskFailure } from '../../tasks/task.entity.js';
import { RunStatus, StepStatus } from '../run-state.js';
import type { RunStep } from '../run-step.entity.js';
import { RunTrigger, type WorkflowRun } from '../workflow-run.entity.js';

export class RunStepResponse {
  @ShownText()
  key: string;

  @ApiProperty({ enum: StepStatus, enumName: 'StepStatus' })
  status: StepStatus;

  @ShownWhole()
  tasks_total: number;

  @ShownWhole()
  tasks_completed: number;

  @ShownWhole()
  tasks_failed: number;

  @ShownTime({ nullable: true })
  started_at: Date | null;

  @ShownTime({ nullable: true })
  completed_at: Date | null;

  @ShownJson({ description: 'Of a for_each step: the list of outputs in the order of the items' })
  output: unknown;

  @ApiProperty({ type: TaskFailureDto, nullable: true })
  error: TaskFailure | null;

  static from({ key, status, tasks_total, tasks_completed, tasks_failed, ...rest }: RunStep): RunStepResponse {
    const { started_at, completed_at, output, error } = rest;
    return { key, status, tasks_total, tasks_completed, tasks_failed, started_at, completed_at, output, error };
  }
}

export class RunResponse {
  @ShownId()
  id: string;

  @ShownId()
  workflow_id: string;

  @ShownWhole()
  run_number: number;

  @ApiProperty({ enum: RunStatus, enumName: 'RunStatus' })
  status: RunStatus;

  @ApiProperty({ enum: RunTrigger, enumName: 'RunTrigger' })
  trigger: RunTrigger;

  @ShownId({ nullable: true, description: 'The run that this one repeats' })
  rerun_of: string | null;

  @ShownObject()
  input: Record<string, unknown>;

  @ShownObject({ nullable: true, description: 'The outputs of the last steps, by key' })
  output: Record<string, unknown> | null;

  @ApiProperty({ type: TaskFailureDto, nullable: true })
  error: TaskFailure | null;

  @ApiProperty({ type: [RunStepResponse] })
  steps: RunStepResponse[];

  @ShownNumber()
  progress_percentage: number;

  @ShownWhole()
  total_tasks: number;

  @ShownWhole()
  completed_tasks: number;

  @ShownWhole()
  failed_tasks: number;

  @ShownTime({ nullable: true })
  scheduled_at: Date | null;

  @ShownTime({ nullable: true })
  started_at: Date | null;

  @ShownTime({ nullable: true })
  completed_at: Date | null;

  @ShownTime()
  created_at: Date;

  @ShownTime()
  updated_at: Date;

  static from({ run, steps }: { run: WorkflowRun; steps: RunStep[] }): RunResponse {
    const { id, workflow_id, run_number, status, trigger, rerun_of, input, output, error } = run;
    const { progress_percentage, total_tasks, completed_tasks, failed_tasks, scheduled_at, started_at } = run;
    return {
      id,
      workflow_id,
      run_number,
      status,
      trigger,
      rerun_of,
      input,
      output,
      error,
      steps: steps.map((step) => RunStepResponse.from(step)),
      progress_percentage,
      total_tasks,
      completed_tasks,
      failed_tasks,
      scheduled_at,
      started_at,
      completed_at: run.completed_at,
      created_at: run.created_at,
      updated_at: run.updated_at,
    };
  }
}
