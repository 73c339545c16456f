// What the page knows of prices: pure, so that it can be tested without one.

/** As the feed says it. */
export interface Quote {
  readonly symbol: string;
  readonly price: number;
  readonly open: number;
  /** Counts the quotes of a symbol in one life of the feed. */
  readonly number: number;
  readonly life: string;
  /** When the feed said it; Unix ms by its clock. */
  readonly at: number;
}

export interface Row extends Quote {
  readonly change: number;
  readonly moved: 'up' | 'down' | 'same';
  /** The last prices, the oldest first. */
  readonly trail: readonly number[];
  /** When it came; Unix ms by this page's clock. */
  readonly cameAt: number;
}

export interface Counts {
  readonly received: number;
  /** Newer ones of the same symbol took their places while this page was slow. */
  readonly conflated: number;
  /** They went by while there was no connection. */
  readonly missed: number;
  /** Of the last second. */
  readonly perSecond: number;
}

const TRAIL = 60;
/** More symbols than a page shows are not for it. */
const MOST = 200;
const SECOND = 1000;

/** Nothing where the fields say no price: what comes from elsewhere is not trusted. */
export function quoteOf(fields: Readonly<Record<string, string>> | undefined): Quote | undefined {
  const { symbol = '', life = '' } = fields ?? {};
  const [price, open, number, at] = ['price', 'open', 'number', 'at'].map((name) =>
    Number(fields?.[name] || Number.NaN),
  );
  const isWell = [price, open, number, at].every((value) => Number.isFinite(value) && Number(value) > 0);
  if (!isWell || symbol === '' || symbol.length > 16) return undefined;
  return { symbol, life, price: price as number, open: open as number, number: number as number, at: at as number };
}

export class Board {
  readonly #rows = new Map<string, Row>();
  /** Symbols of which the first quote after a break has not come yet. */
  readonly #afterBreak = new Set<string>();
  #received = 0;
  #conflated = 0;
  #missed = 0;
  /** When the quotes of the last second came. */
  #times: number[] = [];

  get rows(): readonly Row[] {
    return [...this.#rows.values()];
  }

  /** When something came last. */
  get lastAt(): number | undefined {
    return this.#times.at(-1);
  }

  counts(now: number): Counts {
    const recent = this.#times.filter((time) => time > now - SECOND);
    return { received: this.#received, conflated: this.#conflated, missed: this.#missed, perSecond: recent.length };
  }

  /** Answers whether it is news: a quote that is older than the one that is shown is passed over. */
  take(quote: Quote, now: number): boolean {
    const before = this.#rows.get(quote.symbol);
    if (!before && this.#rows.size >= MOST) return false;
    const sameLife = before?.life === quote.life;
    if (before && sameLife && quote.number <= before.number) return false;
    const between = before && sameLife ? quote.number - before.number - 1 : 0;
    if (this.#afterBreak.delete(quote.symbol)) this.#missed += between;
    else this.#conflated += between;
    this.#received += 1;
    this.#times.push(now);
    if (this.#times[0] !== undefined && this.#times[0] <= now - SECOND)
      this.#times = this.#times.filter((time) => time > now - SECOND);
    const price = quote.price;
    const moved = !before || before.price === price ? 'same' : before.price < price ? 'up' : 'down';
    const trail = [...(before?.trail ?? []), price].slice(-TRAIL);
    this.#rows.set(quote.symbol, { ...quote, change: price / quote.open - 1, moved, trail, cameAt: now });
    return true;
  }

  /** The connection is gone: what it does not bring was missed, and not conflated. */
  broke(): void {
    for (const symbol of this.#rows.keys()) this.#afterBreak.add(symbol);
  }
}
