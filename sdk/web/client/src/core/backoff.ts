/** Full-jitter exponential back-off: a random time between nothing and a ceiling that doubles with each attempt, so that the clients of a lost gateway do not come back in step. */
export class Backoff {
  #attempts = 0;

  /** In milliseconds. */
  constructor(
    private readonly first: number,
    private readonly last: number,
  ) {}

  /** The next wait: uniform in whole milliseconds up to the ceiling. */
  next(random: () => number): number {
    const ceiling = this.ceiling();
    this.#attempts += 1;
    return randomUpTo(ceiling, random);
  }

  /** The connection was stable: the next wait is short again. */
  reset(): void {
    this.#attempts = 0;
  }

  ceiling(): number {
    return Math.min(this.first * 2 ** Math.min(this.#attempts, 32), this.last);
  }
}

/** Uniform in `0..=limit`, in whole milliseconds. */
export function randomUpTo(limit: number, random: () => number): number {
  return Math.floor(random() * (limit + 1));
}
