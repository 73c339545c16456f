// The rows of the page: made once for each symbol, and written to only where something is another.
import type { Row } from './board.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 100;
const HEIGHT = 30;

interface Shown {
  readonly row: HTMLTableRowElement;
  readonly price: HTMLElement;
  readonly change: HTMLElement;
  readonly line: SVGPolylineElement;
  of: Row | undefined;
}

export class Table {
  readonly #shown = new Map<string, Shown>();

  constructor(private readonly body: HTMLTableSectionElement) {}

  show(rows: readonly Row[]): void {
    for (const row of rows) {
      const shown = this.#shown.get(row.symbol) ?? this.#make(row.symbol);
      if (shown.of === row) continue;
      shown.of = row;
      shown.price.textContent = priceText(row.price);
      shown.change.textContent = changeText(row.change);
      shown.line.setAttribute('points', points(row.trail));
      shown.row.className = `${row.moved} ${row.change < 0 ? 'fell' : 'rose'}`;
      shown.row.dataset.number = String(row.number);
    }
  }

  #make(symbol: string): Shown {
    const row = document.createElement('tr');
    row.dataset.symbol = symbol;
    const name = document.createElement('th');
    name.scope = 'row';
    name.textContent = symbol;
    const price = document.createElement('td');
    price.className = 'number price';
    const change = document.createElement('td');
    change.className = 'number change';
    const trail = document.createElement('td');
    trail.className = 'trail';
    const picture = document.createElementNS(SVG, 'svg');
    picture.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
    picture.setAttribute('preserveAspectRatio', 'none');
    picture.setAttribute('aria-hidden', 'true');
    const line = document.createElementNS(SVG, 'polyline');
    picture.append(line);
    trail.append(picture);
    row.append(name, price, change, trail);
    const shown: Shown = { row, price, change, line, of: undefined };
    this.#shown.set(symbol, shown);
    // By name, whichever came first.
    const next = [...this.body.rows].find((other) => (other.dataset.symbol ?? '') > symbol);
    this.body.insertBefore(row, next ?? null);
    return shown;
  }
}

export function priceText(price: number): string {
  const digits = price >= 1000 ? 2 : price >= 10 ? 3 : 5;
  return price.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function changeText(change: number): string {
  return `${change < 0 ? '−' : '+'}${Math.abs(change * 100).toFixed(2)} %`;
}

/** The trail as wide as its picture, and as high. */
function points(trail: readonly number[]): string {
  const low = Math.min(...trail);
  const span = Math.max(...trail) - low || 1;
  const step = WIDTH / Math.max(trail.length - 1, 1);
  return trail
    .map((price, at) => `${(at * step).toFixed(1)},${(HEIGHT - ((price - low) / span) * HEIGHT).toFixed(1)}`)
    .join(' ');
}
