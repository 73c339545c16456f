import type { Row } from './rows.js';

/** A row's height before it was ever seen, in pixels: only the scroll bar depends on it. */
export function estimate(row: Row, width: number): number {
  if (row.kind === 'day') return 44;
  if (row.kind === 'unread' || row.kind === 'event') return 40;
  const { message } = row;
  const perLine = Math.max(18, Math.min(width * 0.72, 560) / 8);
  const lines = Math.max(1, Math.ceil(message.text.length / perLine) + (message.text.match(/\n/g)?.length ?? 0));
  const picture = message.files.some((file) => file.mediaType.startsWith('image/')) ? 260 : message.files.length * 60;
  return (
    lines * 21 +
    17 +
    picture +
    (row.first ? 8 : 2) +
    (message.replyTo ? 50 : 0) +
    (message.reactions.length > 0 ? 28 : 0)
  );
}

/** Where each row stands: heights as measured, estimates for the others. */
export class Heights {
  readonly #measured = new Map<string, number>();
  #rows: readonly Row[] = [];
  #index = new Map<string, number>();
  #tops = new Float64Array(1);
  #width = 0;

  /** Measured heights stay for as long as the width is the same. */
  setRows(rows: readonly Row[], width: number): void {
    if (width !== this.#width) this.#measured.clear();
    this.#width = width;
    this.#rows = rows;
    this.#index = new Map(rows.map((row, index) => [row.key, index]));
    this.#tops = new Float64Array(rows.length + 1);
    this.#sumFrom(0);
  }

  clear(): void {
    this.#measured.clear();
    this.setRows([], this.#width);
  }

  #sumFrom(start: number): void {
    for (let index = start; index < this.#rows.length; index += 1) {
      const row = this.#rows[index]!;
      this.#tops[index + 1] = this.#tops[index]! + (this.#measured.get(row.key) ?? estimate(row, this.#width));
    }
  }

  /** Takes what was measured; true when something stands elsewhere now. */
  measure(sizes: Iterable<readonly [string, number]>): boolean {
    let lowest = Number.POSITIVE_INFINITY;
    for (const [key, height] of sizes) {
      const index = this.#index.get(key);
      if (index === undefined || height <= 0 || Math.abs((this.#measured.get(key) ?? -1) - height) < 0.5) continue;
      this.#measured.set(key, height);
      lowest = Math.min(lowest, index);
    }
    if (lowest === Number.POSITIVE_INFINITY) return false;
    this.#sumFrom(lowest);
    return true;
  }

  get total(): number {
    return this.#tops[this.#rows.length]!;
  }

  indexOf(key: string): number | undefined {
    return this.#index.get(key);
  }

  topOf(index: number): number {
    return this.#tops[Math.max(0, Math.min(index, this.#rows.length))]!;
  }

  heightOf(index: number): number {
    return this.topOf(index + 1) - this.topOf(index);
  }

  /** The row that covers a distance from the top: the last one that begins at or above it. */
  at(offset: number): number {
    let low = 0;
    let high = this.#rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#tops[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  /** The rows from `offset` to `offset + height`: first, and one behind the last. */
  range(offset: number, height: number): readonly [number, number] {
    if (this.#rows.length === 0) return [0, 0];
    return [this.at(Math.max(0, offset)), Math.min(this.#rows.length, this.at(Math.max(0, offset + height)) + 1)];
  }
}
