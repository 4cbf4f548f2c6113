import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Environment } from '../src/platform/config/environment.js';
import { environmentFields, readEnvironment } from '../src/platform/config/read-environment.js';

describe('.env.example', () => {
  const text = readFileSync('.env.example', 'utf8');
  const lines = [...text.matchAll(/^(?:# (.+)\n)([A-Z_]+)=(.*)$/gm)].map(([, comment, name, value]) => ({
    comment,
    name,
    value,
  }));

  it('lists every variable, in the order of Environment, each with one line of comment', () => {
    expect(lines.map(({ name }) => name)).toEqual(environmentFields());
    expect(text.match(/^[A-Z_]+=/gm)).toHaveLength(lines.length);
  });

  it('shows the defaults, numbers printed plainly', () => {
    const defaults = new Environment() as unknown as Record<string, unknown>;

    expect(lines.map(({ name, value }) => [name, value])).toEqual(
      environmentFields().map((name) => [name, String(defaults[name])]),
    );
  });

  it('explains each variable as Environment does', () => {
    const source = readFileSync('src/platform/config/environment.ts', 'utf8');
    const comments = [...source.matchAll(/\/\*\* (.+) \*\/\n(?: {2}@.+\n)+ {2}([A-Z_]+):/g)].map(
      ([, comment, name]) => [name, comment],
    );

    expect(lines.map(({ name, comment }) => [name, comment])).toEqual(comments);
  });

  it('is itself a valid environment: the default one', () => {
    const source = Object.fromEntries(lines.map(({ name, value }) => [name, value]));

    expect(readEnvironment(source)).toEqual(new Environment());
  });
});
