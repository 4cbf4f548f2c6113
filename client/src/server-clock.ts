/** The server's clock as far as its answers show it: clocks of two machines may be hours apart. */
export class ServerClock {
  private ahead_ms = 0;

  /** The server said this time in an answer to what was sent then. */
  note(timestamp: string, sentAt: number, now = Date.now()): void {
    this.ahead_ms = Date.parse(timestamp) - (sentAt + now) / 2;
  }

  /** Milliseconds from now; negative when it is over. */
  msUntil(timestamp: string): number {
    return Date.parse(timestamp) - Date.now() - this.ahead_ms;
  }
}
