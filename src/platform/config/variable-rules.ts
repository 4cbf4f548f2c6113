import { applyDecorators } from '@nestjs/common';
import { IsInt, Max, Min, ValidateBy } from 'class-validator';
import { isIP } from 'node:net';

/** In this order: of a word, the bounds have nothing to say. */
export const IsWhole = (min: number, max: number): PropertyDecorator =>
  applyDecorators(IsInt({ message: '$property must be a whole number' }), Min(min), Max(max));

/** Empty, or the address of a server. Not `@IsUrl()`: it refuses sockets and the host names that Compose makes. */
export const IsOptionalUrl = (...protocols: string[]): PropertyDecorator =>
  ValidateBy({
    name: 'isOptionalUrl',
    validator: {
      validate: (value: string) => value === '' || (URL.canParse(value) && protocols.includes(protocolOf(value))),
      defaultMessage: (args) => `${args!.property} must be a ${protocols[0]}:// address`,
    },
  });

const protocolOf = (url: string): string => new URL(url).protocol.slice(0, -1);

/** Asymmetric ones: with a secret that both sides know, or with none, who can check a token could make one. */
const ALGORITHM = /^(RS|PS|ES)(256|384|512)$|^EdDSA$|^Ed25519$/;

export const IsAlgorithms = (): PropertyDecorator =>
  ValidateBy({
    name: 'isAlgorithms',
    validator: {
      validate: (value: string) => value.split(',').every((name) => ALGORITHM.test(name.trim())),
      defaultMessage: (args) => `${args!.property} must be a comma list of RS256, PS256, ES256, EdDSA and their like`,
    },
  });

/** A comma list or a JSON list of web origins, or `*`. */
export const IsOrigins = (): PropertyDecorator =>
  ValidateBy({
    name: 'isOrigins',
    validator: {
      validate: (value: string) => readOrigins(value)?.every(isOrigin) ?? false,
      defaultMessage: (args) =>
        `${args!.property} must be a comma list or a JSON list of web origins such as http://localhost:3000`,
    },
  });

/** As browsers send them: without a path, also not a slash. Null when it is no list of texts. */
export function readOrigins(text: string): string[] | null {
  const list = text.trim().startsWith('[') ? parseList(text) : text.split(',');
  return (
    list?.map((origin) => origin.trim().replace(/\/$/, '').toLowerCase()).filter((origin) => origin !== '') ?? null
  );
}

function parseList(text: string): string[] | null {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : null;
  } catch {
    return null;
  }
}

const isOrigin = (text: string): boolean =>
  text === '*' || (/^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text);

/** A comma list of IP addresses and networks. Not everyone: that would be no list of whom to trust. */
export const IsAddresses = (): PropertyDecorator =>
  ValidateBy({
    name: 'isAddresses',
    validator: {
      validate: (value: string) => readAddresses(value).every(isNetwork),
      defaultMessage: (args) => `${args!.property} must be a comma list of addresses and networks such as 10.0.0.0/8`,
    },
  });

export const readAddresses = (text: string): string[] =>
  text
    .split(',')
    .map((address) => address.trim())
    .filter((address) => address !== '');

function isNetwork(text: string): boolean {
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  return version !== 0 && (bits === undefined || (Number(bits) > 0 && Number(bits) <= (version === 4 ? 32 : 128)));
}
