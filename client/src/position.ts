/** How far a watch has come. */
export class Cursor {
  private newest: string | undefined;
  private readonly types = new Set<string>();

  constructor(private complete?: string) {}

  /** The position of the newest event; until there is one, where the watch began. */
  get position(): string | undefined {
    return this.newest ?? this.complete;
  }

  /**
   * From where to go on after a break. One change may send several messages with the same position: whether the newest
   * position is complete shows only when a later one comes, so its messages are asked for again.
   */
  get since(): string | undefined {
    return this.complete ?? this.newest;
  }

  /** Where a watch began that was to begin now. */
  beginAt(position: string): void {
    this.complete ??= position;
  }

  /** Whether this message has not come before. */
  isNew({ position, type }: { position: string; type: string }): boolean {
    if (position !== this.newest) {
      this.complete = this.newest ?? this.complete;
      this.newest = position;
      this.types.clear();
    }
    if (this.types.has(type)) return false;
    this.types.add(type);
    return true;
  }

  /** Everything up to there has come. */
  moveTo(position: string): void {
    this.complete = position;
    this.newest = undefined;
    this.types.clear();
  }
}

/**
 * The order of two events in the log. Only for merging what several rooms missed, which the server sends room by room: a
 * position is opaque otherwise. Positions of another kind stay in the order in which they came.
 */
export function comparePositions(one: string, other: string): number {
  const [a, b] = [numbersOf(one), numbersOf(other)];
  if (!a || !b) return 0;
  const [difference = 0n] = [a[0] - b[0], a[1] - b[1]].filter((each) => each !== 0n);
  return Number(difference > 0n) - Number(difference < 0n);
}

function numbersOf(position: string): [bigint, bigint] | null {
  const match = /^(\d+)\.(\d+)$/.exec(Buffer.from(position, 'base64url').toString());
  return match && [BigInt(match[1]!), BigInt(match[2]!)];
}
