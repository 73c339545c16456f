// Prices that nobody pays: each walks at random around where it opened.

/** What opens at which price, and how much it moves, in parts of itself. */
const SYMBOLS = {
  'EUR/USD': [1.0842, 0.0002],
  'GBP/USD': [1.2715, 0.0002],
  'USD/JPY': [154.62, 0.0002],
  'BTC/USD': [96_420, 0.0008],
  'ETH/USD': [3_318, 0.001],
  GOLD: [2_655.4, 0.0003],
  SILVER: [30.62, 0.0005],
  BRENT: [72.94, 0.0005],
  WHEAT: [548.25, 0.0004],
  COPPER: [4.087, 0.0004],
};

/**
 * @typedef {object} Quote
 * @property {string} symbol
 * @property {number} price
 * @property {number} open
 * @property {number} number Of the quotes of this symbol, counted from 1.
 */

export class Market {
  /** @type {Map<string, Quote>} */
  #quotes = new Map(
    Object.entries(SYMBOLS).map(([symbol, [open = 1]]) => [symbol, { symbol, price: open, open, number: 0 }]),
  );
  #next = 0;

  /** @returns {readonly Quote[]} */
  get quotes() {
    return [...this.#quotes.values()];
  }

  /** The next quote: symbols take turns. */
  move() {
    const symbols = [...this.#quotes.keys()];
    const symbol = /** @type {keyof typeof SYMBOLS} */ (symbols[this.#next++ % symbols.length]);
    return this.quote(symbol);
  }

  /** A further quote of one symbol. @param {keyof typeof SYMBOLS} symbol */
  quote(symbol) {
    const before = /** @type {Quote} */ (this.#quotes.get(symbol));
    const [open = 1, step = 0] = SYMBOLS[symbol];
    // What wandered off is drawn back, so that the page is worth a look after days, too.
    const drift = (open / before.price - 1) * 0.01;
    const price = before.price * (1 + drift + step * (Math.random() * 2 - 1));
    const quote = { ...before, price: Number(price.toPrecision(7)), number: before.number + 1 };
    this.#quotes.set(symbol, quote);
    return quote;
  }
}
