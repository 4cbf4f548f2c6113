/** An answer, or a part of one, that is JSON already: the database made it, and nobody here needs to read it. */
export class JsonText {
  constructor(readonly text: string) {}

  static list(items: readonly JsonText[]): JsonText {
    return new JsonText(`[${items.map(({ text }) => text).join(',')}]`);
  }

  /** An object with one member more, which comes first. */
  static object(name: string, { text }: JsonText, rest: object): JsonText {
    const others = JSON.stringify(rest).slice(1);
    return new JsonText(`{${JSON.stringify(name)}:${text}${others === '}' ? '' : ','}${others}`);
  }
}

/** One resource as JSON, by its id. */
export class JsonResource extends JsonText {
  constructor(
    readonly id: string,
    text: string,
  ) {
    super(text);
  }
}

/** How all answers are written. */
export const toJson = (payload: unknown): string =>
  payload instanceof JsonText ? payload.text : JSON.stringify(payload);
