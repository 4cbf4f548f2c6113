/**
 * The passwords of addresses: `postgres://user:password@host`. No scheme is longer, and without a bound a text of many
 * beginnings of one would be read again from each.
 */
const PASSWORD = /(\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s:/@"']*):[^\s/"']*@/gi;

/** Errors of drivers may quote an address; whoever reads logs need not learn its password. */
export const maskSecrets = (text: string): string => text.replace(PASSWORD, '$1:***@');
