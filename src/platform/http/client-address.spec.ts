import { describe, expect, it } from 'vitest';
import { keepAddresses } from './client-address.js';

const kept = (forwarded?: string): string | undefined => {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  keepAddresses({ headers });
  return (headers as Record<string, string>)['x-forwarded-for'];
};

describe('what proxies forward', () => {
  it.each([
    ['198.51.100.9', '198.51.100.9'],
    ['2001:db8::1, 198.51.100.9', '2001:db8::1, 198.51.100.9'],
    ['198.51.100.9:1000', '198.51.100.9'],
    ['[2001:db8::1]:443 ,198.51.100.9', '2001:db8::1, 198.51.100.9'],
    ['198.51.100.1, <b>not an address</b>, 198.51.100.9', '198.51.100.9'],
    ['198.51.100.1, unknown', undefined],
    ['', undefined],
    ['999.1.1.1', undefined],
  ])('is believed as far as it is addresses: %s', (forwarded, expected) => {
    expect(kept(forwarded)).toBe(expected);
  });

  it('may be nothing', () => {
    expect(kept()).toBeUndefined();
  });
});
