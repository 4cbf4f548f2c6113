/** Versions of the API in a path: /api/v1/..., /api/v2/... or /api/... without one. */
export const isVersioned = (url: string): boolean => /^\/api\/v\d+(\/|\?|$)/.test(url);

/** The path before the query. */
export const pathOf = (url: string): string => url.split('?', 1)[0]!;
