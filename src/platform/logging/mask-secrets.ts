/** The passwords of addresses: `postgres://user:password@host`. */
const PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@"']*):[^\s/"']*@/gi;

/** Errors of drivers may quote an address; whoever reads logs need not learn its password. */
export const maskSecrets = (text: string): string => text.replace(PASSWORD, '$1:***@');
