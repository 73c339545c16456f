import { describe, expect, test } from 'vitest';
import { anchorAt, scrollTopOf } from '../src/messages/anchor.js';
import { Heights } from '../src/messages/heights.js';
import { countVotes } from '../src/messages/poll.js';
import { rowsOf } from '../src/messages/rows.js';
import type { MessageView } from '../src/model.js';

const NOON = new Date(2026, 10, 28, 12).getTime();

function message(seq: number, from: string, at: number, more: Partial<MessageView> = {}): MessageView {
  return {
    key: `1.${seq}`,
    id: `1.${seq}`,
    from,
    mine: from === 'me',
    at,
    text: `text ${seq}`,
    reactions: [],
    files: [],
    mentions: [],
    ...more,
  };
}

describe('rows', () => {
  test('one person without a break is one group, and days begin with a line', () => {
    const rows = rowsOf([
      message(1, 'a', NOON - 86_400_000),
      message(2, 'a', NOON),
      message(3, 'a', NOON + 1000),
      message(4, 'b', NOON + 2000),
      message(5, 'a', NOON + 600_000),
      message(6, 'a', NOON + 1_200_000),
    ]);
    expect(
      rows.map((row) =>
        row.kind === 'message' ? `${row.key}${row.first ? ' first' : ''}${row.last ? ' last' : ''}` : row.kind,
      ),
    ).toEqual([
      'day',
      '1.1 first last',
      'day',
      '1.2 first',
      '1.3 last',
      '1.4 first last',
      '1.5 first last',
      '1.6 first last',
    ]);
  });

  test('the line above what is new cuts a group', () => {
    const rows = rowsOf([message(1, 'a', NOON), message(2, 'a', NOON + 1)], '1.2');
    expect(rows.map((row) => row.kind)).toEqual(['day', 'message', 'unread', 'message']);
    expect(rows[1]).toMatchObject({ last: true });
    expect(rows[3]).toMatchObject({ first: true });
  });

  test('100,000 messages are laid out at once', () => {
    const many = Array.from({ length: 100_000 }, (_, index) =>
      message(index, index % 3 ? 'a' : 'b', NOON - (100_000 - index) * 20_000),
    );
    const heights = new Heights();
    const begun = performance.now();
    const rows = rowsOf(many);
    heights.setRows(rows, 800);
    heights.measure([[rows[50_000]!.key, 333]]);
    expect(heights.range(heights.total / 2, 900)[1]).toBeGreaterThan(0);
    expect(performance.now() - begun).toBeLessThan(4000);
  });
});

describe('heights and anchor', () => {
  const rows = rowsOf(Array.from({ length: 500 }, (_, index) => message(index, 'a', NOON + index * 1000)));
  const keyOf = (index: number) => rows[index]?.key;

  test('a row stays where it is when others are measured or come in above it', () => {
    const heights = new Heights();
    heights.setRows(rows.slice(200), 800);
    const scrollTop = heights.topOf(60) + 13;
    const anchor = anchorAt(heights, (index) => rows[index + 200]?.key, scrollTop);
    expect(anchor).toEqual({ kind: 'row', key: rows[260]!.key, offset: -13 });
    heights.measure(rows.slice(200, 240).map((row) => [row.key, 97] as const));
    expect(scrollTopOf(anchor, heights, 600, 0)).toBeCloseTo(heights.topOf(60) + 13);
    heights.setRows(rows, 800);
    expect(scrollTopOf(anchor, heights, 600, 0)).toBeCloseTo(heights.topOf(260) + 13);
    // What was measured is remembered.
    expect(heights.heightOf(210)).toBe(97);
  });

  test('the bottom stays the bottom', () => {
    const heights = new Heights();
    heights.setRows(rows, 800);
    expect(scrollTopOf({ kind: 'bottom' }, heights, 600, 10)).toBe(heights.total + 10 - 600);
    expect(scrollTopOf({ kind: 'row', key: 'gone', offset: 0 }, heights, 600, 10)).toBeUndefined();
  });

  test('a range covers what is seen', () => {
    const heights = new Heights();
    heights.setRows(rows, 800);
    for (const offset of [-50, 0, 1, 777, 10_000, 1e9]) {
      const [from, to] = heights.range(offset, 600);
      const top = Math.max(0, Math.min(offset, heights.total - 1));
      expect(heights.topOf(from)).toBeLessThanOrEqual(top);
      expect(heights.topOf(to)).toBeGreaterThanOrEqual(Math.min(heights.total, top + 1));
      expect(to - from).toBeLessThan(60);
      expect(keyOf(from)).toBeDefined();
    }
    heights.setRows([], 800);
    expect(heights.range(0, 600)).toEqual([0, 0]);
  });

  test('another width forgets what was measured', () => {
    const heights = new Heights();
    heights.setRows(rows, 800);
    heights.measure([[rows[3]!.key, 500]]);
    heights.setRows(rows, 400);
    expect(heights.heightOf(3)).toBeLessThan(200);
  });
});

test('votes: the first of a user count, each once, and only for options there are', () => {
  const poll = {
    question: '?',
    options: [
      { id: 'a', text: 'A' },
      { id: 'b', text: 'B' },
    ],
    choices: 1,
    closesAt: 0,
  };
  const reactions = [
    { emoji: 'a', from: 'x' },
    { emoji: 'b', from: 'x' },
    { emoji: 'b', from: 'y' },
    { emoji: 'b', from: 'y' },
    { emoji: '👍', from: 'z' },
  ];
  expect([...countVotes(message(1, 'a', NOON, { reactions }), poll)]).toEqual([
    ['a', ['x']],
    ['b', ['y']],
  ]);
});
