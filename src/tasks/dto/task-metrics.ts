import { validateSync } from 'class-validator';
import { InvalidInput } from '../../platform/errors/common.errors.js';
import { NumberField, WholeField } from '../../platform/http/fields.js';
import { fieldErrors } from '../../platform/http/input.pipe.js';

/** The metrics that everybody has. Others may come along, so they are no nested DTO, which would drop those. */
class KnownMetrics {
  @WholeField({ is: 'optional', min: 0, max: Number.MAX_SAFE_INTEGER })
  tokens_in?: number;

  @WholeField({ is: 'optional', min: 0, max: Number.MAX_SAFE_INTEGER })
  tokens_out?: number;

  @NumberField({ is: 'optional', min: 0, max: 1e9 })
  cost_usd?: number;
}

export function assertMetrics(
  { tokens_in, tokens_out, cost_usd }: Record<string, unknown> = {},
  pointer = '/metrics',
): void {
  const known = Object.assign(new KnownMetrics(), { tokens_in, tokens_out, cost_usd });
  const violations = validateSync(known, { stopAtFirstError: true });
  if (violations.length > 0) throw new InvalidInput(fieldErrors(violations, true, pointer));
}
