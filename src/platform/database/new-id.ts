import { v7 } from 'uuid';

/** A UUID v7 (RFC 9562): ordered by time, so that new rows stand together in their indexes. */
export const newId = (): string => v7();
