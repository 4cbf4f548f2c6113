import { describe, expect, it } from 'vitest';
import { greeting, readMessages, readText, text, writeMessage } from './protocol.js';

describe("PostgreSQL's messages", () => {
  const stream = Buffer.concat([
    writeMessage('Q', text('SELECT 1')),
    writeMessage('S'),
    writeMessage('P', text('name', 'ü')),
  ]);

  it('are read as they were written', () => {
    const { messages, rest } = readMessages(stream);

    expect(messages.map(({ type }) => type)).toEqual(['Q', 'S', 'P']);
    expect(readText(messages[0]!.body)).toEqual({ value: 'SELECT 1', next: 9 });
    expect(readText(messages[2]!.body, readText(messages[2]!.body).next).value).toBe('ü');
    expect(Buffer.concat(messages.map(({ raw }) => raw))).toEqual(stream);
    expect(rest).toHaveLength(0);
  });

  it('are read wherever the stream is cut', () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const first = readMessages(stream.subarray(0, cut));
      const second = readMessages(Buffer.concat([first.rest, stream.subarray(cut)]));

      expect([...first.messages, ...second.messages].map(({ type }) => type)).toEqual(['Q', 'S', 'P']);
      expect(second.rest).toHaveLength(0);
    }
  });

  it('greet a client with what it waits for', () => {
    const { messages } = readMessages(greeting('18.1'));

    expect(messages.map(({ type }) => type).join('')).toBe('RSSSKZ');
    expect(messages.at(-1)!.body.toString()).toBe('I');
  });
});
