import type { Role } from '../../src/platform/access/principal.js';
import { ApiKeysService } from '../../src/auth/api-keys.service.js';
import type { TestApp } from './test-app.js';

/** A key as `npm run keys` makes it: nobody has one yet who could ask for it over the API. */
export async function firstKey(
  { app }: TestApp,
  fields: { role?: `${Role}`; project_id?: string; agent_id?: string } = {},
): Promise<string> {
  const { role = 'admin', ...rest } = fields;
  const { text } = await app.get(ApiKeysService).create({ name: `A test's ${role}`, role: role as Role, ...rest });
  return text;
}

export const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
