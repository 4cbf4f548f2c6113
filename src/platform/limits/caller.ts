import { normalizeIp } from '@nestjs/throttler';

/** Who has no credential is counted by its address, and for IPv6 by a whole network. */
export const callerAt = (address: string): string => `address:${normalizeIp(address)}`;
