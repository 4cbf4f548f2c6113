/**
 * The passwords of addresses: `postgres://user:password@host`. No scheme is longer, and without a bound a text of many
 * beginnings of one would be read again from each.
 */
const PASSWORD = /(\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s:/@"']*):[^\s/"']*@/gi;
/** API keys: what is before the secret may be shown. */
const API_KEY = /\b(fd_[0-9a-f]{12}_)[0-9a-f]{48}/g;
/** JSON Web Tokens: without the signature nobody can use them. */
const JWT = /(?<![\w-])(eyJ[\w-]+\.)[\w-]+\.[\w-]*/g;

/** Errors of drivers and clients may quote an address or a credential; whoever reads logs need not learn secrets. */
export const maskSecrets = (text: string): string =>
  text.replace(PASSWORD, '$1:***@').replace(API_KEY, '$1***').replace(JWT, '$1***');
