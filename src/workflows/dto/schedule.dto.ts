import { ChoiceField, TextField } from '../../platform/http/fields.js';
import { Overlap } from '../schedule.js';

/** When a workflow runs by itself. */
export class ScheduleDto {
  @TextField({
    min: 1,
    max: 200,
    description: 'Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly',
    example: '30 6 * * 1-5',
  })
  cron: string;

  @TextField({ is: 'optional', min: 1, max: 100, default: 'UTC', description: 'IANA name', example: 'Europe/Berlin' })
  timezone?: string;

  @ChoiceField(Overlap, 'Overlap', {
    is: 'optional',
    default: Overlap.Skip,
    description: 'What happens at a tick while an earlier run is not over',
  })
  overlap?: Overlap;
}

export class ScheduleResponse {
  @TextField()
  cron: string;

  @TextField()
  timezone: string;

  @ChoiceField(Overlap, 'Overlap')
  overlap: Overlap;
}
