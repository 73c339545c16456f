import { expect, test } from 'vitest';
import { Board, type Quote, quoteOf } from './board.js';

const quote = (number: number, price = 10 + number, symbol = 'EUR/USD', life = 'a'): Quote => ({
  ...{ symbol, price, number, life, open: 10, at: 1 },
});

test('the newest price of each symbol is shown, and how it moved', () => {
  const board = new Board();
  board.take(quote(1), 1000);
  board.take(quote(2, 9), 1100);
  board.take(quote(1, 5, 'GOLD'), 1200);
  const [euro, gold] = board.rows;
  expect(euro).toMatchObject({ price: 9, moved: 'down', trail: [11, 9], cameAt: 1100 });
  expect(euro?.change).toBeCloseTo(-0.1);
  expect(gold).toMatchObject({ symbol: 'GOLD', price: 5, moved: 'same' });
  expect(board.lastAt).toBe(1200);
});

test('what is older than what is shown is passed over', () => {
  const board = new Board();
  expect([board.take(quote(5), 1), board.take(quote(4), 2), board.take(quote(5), 3)]).toEqual([true, false, false]);
  expect(board.rows[0]?.number).toBe(5);
});

test('numbers that are left out were conflated, or missed where the connection broke', () => {
  const board = new Board();
  board.take(quote(1), 1);
  board.take(quote(4), 2);
  expect(board.counts(2)).toMatchObject({ received: 2, conflated: 2, missed: 0 });
  board.broke();
  board.take(quote(10), 3);
  board.take(quote(12), 4);
  expect(board.counts(4)).toMatchObject({ received: 4, conflated: 3, missed: 5 });
  // The feed began anew, and counts from 1 again.
  board.take(quote(1, 3, 'EUR/USD', 'b'), 5);
  expect(board.rows[0]).toMatchObject({ number: 1, price: 3 });
  expect(board.counts(5)).toMatchObject({ conflated: 3, missed: 5 });
});

test('the rate is that of the last second', () => {
  const board = new Board();
  for (let number = 1; number <= 30; number += 1) board.take(quote(number), number * 100);
  expect(board.counts(3000).perSecond).toBe(10);
  expect(board.counts(5000).perSecond).toBe(0);
});

test('what is no price is none', () => {
  const well = { symbol: 'GOLD', price: '1.5', open: '1', number: '7', life: 'a', at: '1' };
  expect(quoteOf(well)).toEqual({ symbol: 'GOLD', price: 1.5, open: 1, number: 7, life: 'a', at: 1 });
  for (const bad of [
    { price: 'NaN' },
    { price: '' },
    { price: '-1' },
    { number: 'Infinity' },
    { symbol: 'x'.repeat(17) },
  ])
    expect(quoteOf({ ...well, ...bad })).toBeUndefined();
  expect(quoteOf(undefined)).toBeUndefined();
});

test('there are no more rows than a page can show', () => {
  const board = new Board();
  for (let index = 0; index < 250; index += 1) board.take(quote(1, 1, `S${index}`), 1);
  expect(board.rows.length).toBe(200);
});
