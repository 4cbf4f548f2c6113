import { createRequire } from 'node:module';

const { version, description } = findPackage();

/** What this program is. */
export const APP = { name: 'flightdeck', version, description };

/** package.json lies above both src/ and dist/src/. */
function findPackage(): { version: string; description: string } {
  const require = createRequire(import.meta.url);
  for (const path of ['../../../package.json', '../../../../package.json']) {
    try {
      return require(path) as { version: string; description: string };
    } catch {
      // Not at this level.
    }
  }
  throw new Error('package.json is missing');
}
