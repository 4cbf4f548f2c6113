import type { StepProgress } from './progress.js';

const BAR_WIDTH = 30;
const REDRAW_MS = 50;

/** Lines for people. On a terminal bars stand below them and move; elsewhere each tenth of a step is a line. */
export class Display {
  private bars: readonly StepProgress[] = [];
  private drawn = 0;
  private redraw: NodeJS.Timeout | null = null;
  private readonly tenths = new Map<string, number>();

  constructor(private readonly out: NodeJS.WriteStream = process.stdout) {}

  say(text: string): void {
    this.erase();
    this.out.write(`${text}\n`);
    this.draw();
  }

  show(steps: readonly StepProgress[]): void {
    if (!this.out.isTTY) return;
    this.bars = steps;
    this.draw();
  }

  update(step: StepProgress): void {
    if (this.out.isTTY) this.redraw ??= setTimeout(() => this.refresh(), REDRAW_MS);
    else this.tell(step);
  }

  /** The bars stay as they are; what follows comes below. */
  finish(): void {
    this.refresh();
    this.bars = [];
    this.drawn = 0;
  }

  private refresh(): void {
    if (this.redraw) clearTimeout(this.redraw);
    this.redraw = null;
    this.erase();
    this.draw();
  }

  private erase(): void {
    if (this.drawn > 0) this.out.write(`\u001b[${this.drawn}A\u001b[J`);
    this.drawn = 0;
  }

  private draw(): void {
    // A line that wraps would be two lines to erase.
    for (const step of this.bars) this.out.write(`${barOf(step).slice(0, (this.out.columns || 80) - 1)}\n`);
    this.drawn = this.bars.length;
  }

  private tell(step: StepProgress): void {
    const { key, state, total, completed } = step;
    const tenth = total === 0 ? 0 : Math.floor((completed * 10) / total);
    const before = this.tenths.get(key);
    if (state === 'running' && before === undefined) this.say(`${key}: started, ${countOf(total, 'task')}`);
    else if (state === 'running' && tenth > (before ?? 0) && tenth < 10) {
      this.say(`${key}: ${completed}/${total} (${tenth * 10} %)`);
    } else if (state !== 'running' && state !== 'waiting' && before !== Infinity) {
      this.say(`${key}: ${state}, ${completed}/${total}${timeOf(step)}`);
    }
    const hasEnded = state !== 'running' && state !== 'waiting';
    if (state !== 'waiting') this.tenths.set(key, hasEnded ? Infinity : tenth);
  }
}

function barOf(step: StepProgress): string {
  const { key, state, total, completed, held } = step;
  const share = total === 0 ? Number(state === 'completed') : completed / total;
  const full = Math.floor(share * BAR_WIDTH);
  const bar = '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full);
  const count = `${completed}/${total}`.padStart(11);
  const remark = state === 'running' ? (held.size > 0 ? `${held.size} in work` : '') : state + timeOf(step);
  return `${key.padEnd(9)} ${bar} ${count}  ${remark}`;
}

const timeOf = ({ started_at, ended_at }: StepProgress): string =>
  started_at > 0 && ended_at > 0 ? ` in ${((ended_at - started_at) / 1000).toFixed(1)} s` : '';

export const countOf = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
