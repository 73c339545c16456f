import type { Client, HistoryMessage, Message } from '@tidings/client';
import { expect, test } from 'vitest';
import type { Happened } from '../src/store/happened.js';
import { OwnCopies } from '../src/store/own-copies.js';
import { reduce } from '../src/store/reduce.js';
import { initial, timelineOf } from '../src/store/state.js';

const own = (seq: number): HistoryMessage =>
  ({
    place: seq,
    message: { id: `7.${seq}`, from: 'me', to: 'ben', group: '', groupSeq: 0, sentAtMs: seq, reactions: [] },
  }) as unknown as HistoryMessage;

/** A page in front of a history that grows. */
function page() {
  let state = initial('me');
  const happened = (what: Happened) => {
    state = reduce(state, what);
  };
  const history: HistoryMessage[] = [own(1)];
  let loads = 0;
  const newest = async (key: string) => {
    loads += 1;
    happened({ type: 'page', key, messages: [...history], more: false, direction: 'newest' });
  };
  const copies = new OwnCopies({ client: {} as Client, names: String, state: () => state, happened }, { newest });
  const shown = () => timelineOf(state, 'u/ben').messages.map(({ id }) => id);
  return { copies, history, newest, shown, happened, loads: () => loads };
}

test('a message that was accepted before the page began, and copied after it looked, is shown when it is received', async () => {
  const { copies, history, newest, shown, loads } = page();
  await newest('u/ben');
  history.push(own(2));
  await copies.reached('ben', '7.2');
  expect([shown(), loads()]).toEqual([['7.1', '7.2'], 2]);
  // What is there is not looked for.
  await copies.reached('ben', '7.2');
  expect(loads()).toBe(2);
});

test('a receipt that comes before the first page is looked after then, once', async () => {
  const { copies, history, newest, shown, loads } = page();
  await copies.reached('ben', '7.2');
  expect(loads()).toBe(0);
  await newest('u/ben');
  history.push(own(2));
  await copies.look('u/ben');
  await copies.look('u/ben');
  expect([shown(), loads()]).toEqual([['7.1', '7.2'], 2]);
});

test('what this page sent itself, and what its outbox shows, is no reason to look', async () => {
  const { copies, newest, happened, loads } = page();
  await newest('u/ben');
  copies.sent('7.3');
  await copies.reached('ben', '7.3');
  happened({ type: 'sent', message: own(4).message as Message, key: 'k', pending: true });
  await copies.reached('ben', '7.4');
  expect(loads()).toBe(1);
});
