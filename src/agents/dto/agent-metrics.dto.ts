import { NumberField, WholeField } from '../../platform/http/fields.js';

const MOST = 2_147_483_647;

/** Metrics set from outside. The success rate is always computed. */
export class AgentMetricsDto {
  @WholeField({ is: 'optional', min: 0, max: MOST })
  tasks_completed?: number;

  @WholeField({ is: 'optional', min: 0, max: MOST })
  tasks_failed?: number;

  @NumberField({ is: 'optional', min: 0, max: 1e9, description: 'Seconds' })
  avg_response_time?: number;

  @NumberField({ is: 'nullable', min: 0, max: 100, description: 'null: computed from the time online' })
  uptime_percentage?: number | null;

  @NumberField({ is: 'nullable', min: 0, max: 10 })
  quality_score?: number | null;

  @NumberField({ is: 'nullable', min: -1e9, max: 1e9 })
  improvement?: number | null;

  @NumberField({ is: 'optional', min: 0, max: 1e12 })
  processing_time_ms?: number;

  @WholeField({ is: 'optional', min: 0, max: MOST })
  error_count?: number;
}
