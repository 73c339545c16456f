import { describe, expect, test } from 'vitest';
import { mentionAt, mentionsIn } from '../src/text/mentions.js';
import { direction, onlyEmoji, segments } from '../src/text/segments.js';
import { byteLength, byteOfIndex, indexOfByte } from '../src/text/utf8.js';

describe('links', () => {
  const links = (text: string) => segments(text).flatMap((segment) => (segment.kind === 'link' ? [segment.href] : []));

  test('what closes the sentence is not a part of the address', () => {
    expect(links('See https://example.com/a, or (https://example.com/b).')).toEqual([
      'https://example.com/a',
      'https://example.com/b',
    ]);
    expect(links('https://en.wikipedia.org/wiki/Tide_(disambiguation)!')).toEqual([
      'https://en.wikipedia.org/wiki/Tide_(disambiguation)',
    ]);
    expect(links('www.example.com and ada@example.com')).toEqual([
      'https://www.example.com/',
      'mailto:ada@example.com',
    ]);
  });

  test('nothing else opens', () => {
    expect(links('javascript:alert(1) data:text/html,x file:///etc/passwd https:// vbscript:x')).toEqual([]);
  });

  test('the pieces are the text', () => {
    for (const text of [
      '',
      'plain',
      'a https://x.yz/? b www.q.com.',
      '<b>https://a.bc/<script></b>',
      'mail@x.org,mail@y.org',
    ]) {
      expect(
        segments(text)
          .map((segment) => segment.text)
          .join(''),
      ).toBe(text);
    }
  });

  test('long text without an end takes no time', () => {
    const begun = performance.now();
    segments(`https://${'a.'.repeat(30_000)}`);
    segments('@'.repeat(60_000));
    segments(`${'(('.repeat(20_000)}https://x.yz/${')'.repeat(20_000)}`);
    expect(performance.now() - begun).toBeLessThan(3000);
  });
});

describe('mentions', () => {
  test('are found by the longest name, at the edges of words', () => {
    expect(mentionsIn('@ben, @benno and x@ben @ada-l', ['ben', 'benno', 'ada'])).toEqual([
      { user: 'ben', start: 0, end: 4 },
      { user: 'benno', start: 6, end: 12 },
      { user: 'ada', start: 23, end: 27 },
    ]);
    expect(mentionsIn('@all look', ['ben'])).toEqual([{ user: '', start: 0, end: 4 }]);
  });

  test('a place that is none is passed over', () => {
    const nonsense = [
      { user: 'x', start: 5, end: 2 },
      { user: 'x', start: 0, end: 900 },
      { user: 'y', start: 0, end: 3 },
      { user: 'z', start: 1, end: 2 },
    ];
    expect(segments('abcdef', nonsense)).toEqual([
      { kind: 'mention', text: 'abc', user: 'y' },
      { kind: 'text', text: 'def' },
    ]);
  });

  test('what is typed', () => {
    expect(mentionAt('hello @be', 9)).toEqual({ start: 6, typed: 'be' });
    expect(mentionAt('mail@be', 7)).toBeUndefined();
  });
});

test('bytes and signs', () => {
  const text = 'aé€😀b';
  expect(byteLength(text)).toBe(11);
  expect([0, 1, 3, 6, 10, 11].map((byte) => indexOfByte(text, byte))).toEqual([0, 1, 2, 3, 5, 6]);
  expect(indexOfByte(text, 2)).toBeUndefined();
  expect(indexOfByte(text, 12)).toBeUndefined();
  expect(byteOfIndex(text, 5)).toBe(10);
});

test('only emoji', () => {
  expect(onlyEmoji('😀')).toBe(1);
  expect(onlyEmoji('👩‍👩‍👧❤️🇩🇪')).toBe(3);
  for (const text of ['', '1', 'ok 😀', '😀😀😀😀', '12']) expect(onlyEmoji(text)).toBe(0);
});

test('direction by the first letter', () => {
  expect(direction('123 مرحبا')).toBe('rtl');
  expect(direction('!! hello שלום')).toBe('ltr');
  expect(direction('42')).toBeUndefined();
});
