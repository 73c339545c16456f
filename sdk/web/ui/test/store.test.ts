import {
  ActivityKind,
  type Change,
  ChangeKind,
  type Conversation,
  type GroupEvent,
  GroupEventKind,
  type HistoryMessage,
  type Message,
  MessageState,
  type StatusChanged,
} from '@tidings/client';
import { describe, expect, test } from 'vitest';
import type { MessageView } from '../src/model.js';
import type { Happened } from '../src/store/happened.js';
import { KeptList, Memory } from '../src/store/memory.js';
import { reduce } from '../src/store/reduce.js';
import { initial, type State, summaryOf, timelineOf } from '../src/store/state.js';
import { add, addPage, EMPTY } from '../src/store/timeline.js';
import { conversationView } from '../src/store/views.js';

const NOW = 1_795_000_000_000;

function told(seq: number, from: string, to: string, more: Partial<Message> = {}): Message {
  const content = {
    type: 0,
    title: '',
    text: `text ${seq}`,
    data: new Uint8Array(),
    fields: {},
    replyTo: undefined,
    thread: '',
    forwarded: false,
    mentions: [],
    priority: 0,
    location: undefined,
    poll: undefined,
    attachments: [],
  };
  return {
    id: `${from === 'me' ? 7 : 9}.${seq}`,
    from,
    to,
    group: '',
    groupSeq: 0,
    sentAtMs: NOW + seq,
    expiresAtMs: 0,
    content,
    receipts: 0,
    fromSlot: 0,
    editedAtMs: 0,
    recalledAtMs: 0,
    wipedAtMs: 0,
    reactions: [],
    pinned: false,
    pinnedAtMs: 0,
    disappears: undefined,
    disappearsAtMs: 0,
    ...more,
  } as unknown as Message;
}

const inGroup = (seq: number, from: string, groupSeq: number) => told(seq, from, '', { group: 'g', groupSeq });
const received = (message: Message): Happened => ({ type: 'received', message, echo: false });
const status = (change: Partial<StatusChanged>): Happened => ({
  type: 'status',
  reason: 'because',
  change: {
    status: 'sent',
    id: '',
    upTo: false,
    to: 'ben',
    group: '',
    key: undefined,
    atMs: NOW,
    reason: undefined,
    error: undefined,
    ...change,
  },
});
const page = (
  key: string,
  from: number,
  to: number,
  direction: 'older' | 'newer' | 'newest' | 'around',
  more: boolean,
): Happened => ({
  type: 'page',
  key,
  direction,
  more,
  messages: Array.from({ length: to - from + 1 }, (_, index) => kept(from + index, told(from + index, 'ben', 'me'))),
});
const kept = (place: number, message: Message, state = MessageState.UNSPECIFIED): HistoryMessage =>
  ({ place, message, state, deliveredAtMs: 0, readAtMs: 0 }) as HistoryMessage;

function after(...happened: readonly Happened[]): State {
  return happened.reduce(reduce, reduce(initial('me'), { type: 'opened', key: 'u/ben' }));
}

const inOpenGroup: Happened = { type: 'opened', key: 'g/g' };
const texts = (state: State, key = 'u/ben') => timelineOf(state, key).messages.map((message) => message.text);
const change = (of: string, kind: ChangeKind, more: Partial<Change> = {}): Happened => ({
  type: 'changed',
  change: {
    of,
    kind,
    content: undefined,
    emoji: '',
    off: false,
    id: '9.99',
    from: 'ben',
    to: 'me',
    atMs: NOW,
    disappearsAtMs: 0,
    group: '',
    groupSeq: 0,
    ofGroupSeq: 0,
    ...more,
  } as unknown as Change,
});

describe('messages', () => {
  test('what comes is there once, counts as unread, and stands in the summary', () => {
    const state = after(received(told(1, 'ben', 'me')), received(told(2, 'ben', 'me')), received(told(1, 'ben', 'me')));
    expect(texts(state)).toEqual(['text 1', 'text 2']);
    expect(summaryOf(state, 'u/ben')).toMatchObject({ unread: 2, last: { text: 'text 2' } });
  });

  test('an own message goes its way: in the outbox, sent, delivered, read; a late receipt takes nothing back', () => {
    const key = 'k1';
    let state = after({
      type: 'sent',
      message: { ...told(1, 'me', 'ben'), id: undefined } as unknown as Message,
      key,
      pending: true,
    });
    const shown = () => timelineOf(state, 'u/ben').messages[0]!;
    expect(shown()).toMatchObject({ status: 'sending', key });
    for (const [told, expected] of [
      [status({ id: '7.1', key }), 'sent'],
      [status({ status: 'read', id: '7.1', upTo: true }), 'read'],
      [status({ status: 'delivered', id: '7.3', upTo: true }), 'read'],
    ] as const) {
      state = reduce(state, told);
      expect(shown()).toMatchObject({ status: expected, id: '7.1', key });
      expect(summaryOf(state, 'u/ben').last).toMatchObject({ status: expected });
    }
  });

  test('the history says how far messages have come that this browser was not told of', () => {
    const { DELIVERED, READ, EXPIRED, UNSPECIFIED } = MessageState;
    const states = [READ, DELIVERED, EXPIRED, UNSPECIFIED];
    const messages = states.map((state, at) => kept(at + 1, told(at + 1, 'me', 'ben'), state));
    const history: Happened = { type: 'page', key: 'u/ben', direction: 'newest', more: false, messages };
    const state = after(history, status({ status: 'read', id: '7.2', upTo: true }), history);
    const shown = timelineOf(state, 'u/ben').messages.map((message) => [message.status, message.reason !== undefined]);
    expect(shown).toEqual([
      ['read', false],
      ['read', false],
      ['failed', true],
      ['sent', false],
    ]);
  });

  test('a watermark speaks for its stream alone, and for pages that come later', () => {
    const history: Happened = {
      type: 'page',
      key: 'u/ben',
      direction: 'newest',
      more: false,
      messages: [1, 2, 3].map((place) => kept(place, told(place, 'me', 'ben'))),
    };
    const state = after(
      status({ status: 'read', id: '7.1', upTo: true }),
      status({ status: 'delivered', id: '7.2', upTo: true }),
      status({ status: 'read', id: '8.50', upTo: true }),
      history,
    );
    expect(timelineOf(state, 'u/ben').messages.map((message) => message.status)).toEqual(['read', 'delivered', 'sent']);
  });

  test('what failed says why, and no watermark brings it back', () => {
    const state = after(
      { type: 'sent', message: told(1, 'me', 'ben'), key: 'k', pending: true },
      status({ status: 'failed', id: '7.1', key: 'k' }),
      status({ status: 'read', id: '7.9', upTo: true }),
    );
    expect(timelineOf(state, 'u/ben').messages[0]).toMatchObject({ status: 'failed', reason: 'because' });
  });
});

describe('windows of the history', () => {
  test('older and newer pages join, and places order what came live', () => {
    const state = after(
      received(told(60, 'ben', 'me')),
      page('u/ben', 41, 60, 'newest', true),
      page('u/ben', 21, 40, 'older', true),
      received(told(61, 'ben', 'me')),
      page('u/ben', 1, 20, 'older', false),
    );
    expect(texts(state)).toEqual(Array.from({ length: 61 }, (_, index) => `text ${index + 1}`));
    expect(timelineOf(state, 'u/ben')).toMatchObject({ atOldest: true, atNewest: true, loaded: true });
  });

  test('a window of the past takes nothing live, and grows to the newest', () => {
    let state = after(
      page('u/ben', 81, 100, 'newest', true),
      page('u/ben', 11, 30, 'around', true),
      received(told(101, 'ben', 'me')),
    );
    expect(texts(state)).toHaveLength(20);
    expect(summaryOf(state, 'u/ben').last).toMatchObject({ text: 'text 101' });
    state = reduce(state, page('u/ben', 31, 90, 'newer', true));
    state = reduce(state, page('u/ben', 91, 101, 'newer', false));
    expect(timelineOf(state, 'u/ben')).toMatchObject({ atNewest: true, atOldest: false });
    expect(texts(state)).toEqual(Array.from({ length: 91 }, (_, index) => `text ${index + 11}`));
  });

  test('to the newest from the past begins anew, and keeps what waits', () => {
    const waiting: MessageView = {
      key: 'local',
      id: 'local',
      from: 'me',
      mine: true,
      at: NOW,
      text: 'waits',
      status: 'sending',
      reactions: [],
      files: [],
      mentions: [],
    };
    const timeline = addPage(add({ ...EMPTY, loaded: true }, waiting), [], 'newest', false);
    expect(timeline.messages).toHaveLength(1);
  });

  test('a group has one order, whatever came first', () => {
    const state = after(
      inOpenGroup,
      received(inGroup(3, 'ben', 13)),
      received(inGroup(1, 'cleo', 11)),
      received(inGroup(2, 'ben', 12)),
    );
    expect(timelineOf(state, 'g/g').messages.map((message) => message.place)).toEqual([11, 12, 13]);
  });

  test('an own message to a group takes its place when it comes back', () => {
    const sent: Happened = { type: 'sent', message: told(5, 'me', '', { group: 'g' }), key: 'k', pending: true };
    const state = after(inOpenGroup, sent, received(inGroup(1, 'ben', 20)), received(inGroup(5, 'me', 19)));
    expect(timelineOf(state, 'g/g').messages.map(({ key, place }) => [key, place])).toEqual([
      ['k', 19],
      ['9.1', 20],
    ]);
    expect(summaryOf(state, 'g/g').unread).toBe(1);
  });

  test('the line above what is new is where the unread begin, and goes when the conversation is left', () => {
    let state = after(
      received(told(59, 'ben', 'me')),
      received(told(60, 'ben', 'me')),
      { type: 'opened', key: 'u/ben' },
      page('u/ben', 41, 60, 'newest', true),
    );
    expect(timelineOf(state, 'u/ben').firstUnread).toBe('9.59');
    state = reduce(state, { type: 'opened', key: 'u/cleo' });
    expect(timelineOf(state, 'u/ben').firstUnread).toBeUndefined();
  });
});

test('while a device catches up, what is older than the window waits for its page, and is not counted twice', () => {
  const conversation = {
    with: 'ben',
    lastPlace: 60,
    lastAtMs: NOW + 60,
    unread: 60,
    readPlace: 0,
    markedUnread: false,
    muteUntilMs: 0,
    archived: false,
    favourite: false,
    blocks: [],
    lastMessage: told(60, 'ben', 'me'),
  } as unknown as Conversation;
  const listed: Happened = { type: 'conversations', conversations: [conversation] };
  const state = after(
    listed,
    page('u/ben', 41, 60, 'newest', true),
    ...Array.from({ length: 61 }, (_, index) => received(told(index + 1, 'ben', 'me'))),
  );
  expect(texts(state)).toEqual(Array.from({ length: 21 }, (_, index) => `text ${index + 41}`));
  expect(summaryOf(state, 'u/ben').unread).toBe(61);
});

test('a conversation that nobody looks at holds no messages, and one that is left only the newest', () => {
  const other = after(received(told(1, 'cleo', 'me')));
  expect(timelineOf(other, 'u/cleo').messages).toEqual([]);
  expect(summaryOf(other, 'u/cleo')).toMatchObject({ unread: 1, last: { text: 'text 1' } });
  const left = after(page('u/ben', 1, 300, 'newest', false), { type: 'opened', key: 'u/cleo' });
  expect(timelineOf(left, 'u/ben')).toMatchObject({ atOldest: false, loaded: true });
  expect(texts(left)).toHaveLength(200);
  expect(texts(left).at(-1)).toBe('text 300');
});

describe('changes', () => {
  const begun = () => after(received(told(1, 'ben', 'me')));
  const first = (state: State) => timelineOf(state, 'u/ben').messages[0]!;

  test('a reaction is there once, and taken back', () => {
    const react = change('9.1', ChangeKind.REACT, { emoji: '👍' });
    expect(first([react, react].reduce(reduce, begun())).reactions).toEqual([{ emoji: '👍', from: 'ben' }]);
    expect(
      first([react, change('9.1', ChangeKind.REACT, { emoji: '👍', off: true })].reduce(reduce, begun())).reactions,
    ).toEqual([]);
  });

  test('an edit changes the text, also in the summary; what was taken back stays so', () => {
    const content = { ...told(1, 'ben', 'me').content!, text: 'edited' };
    const edited = reduce(begun(), change('9.1', ChangeKind.EDIT, { content }));
    expect(first(edited)).toMatchObject({ text: 'edited', editedAt: NOW });
    expect(summaryOf(edited, 'u/ben').last).toMatchObject({ text: 'edited' });
    const recalled = [change('9.1', ChangeKind.RECALL), change('9.1', ChangeKind.EDIT, { content })].reduce(
      reduce,
      edited,
    );
    expect(first(recalled)).toMatchObject({ gone: 'recalled', text: '' });
  });

  test('what was changed here and refused is as it was', () => {
    let state = begun();
    const before = first(state);
    state = reduce(state, {
      type: 'changedHere',
      key: 'u/ben',
      message: '9.1',
      change: { kind: ChangeKind.EDIT },
      edited: { text: 'mine' },
    });
    expect(first(state).text).toBe('mine');
    state = reduce(state, {
      type: 'undone',
      key: 'u/ben',
      message: before,
      change: { kind: ChangeKind.EDIT },
      reason: '',
    });
    expect(first(state)).toEqual(before);
    const react = { kind: ChangeKind.REACT, emoji: '🎉', off: false };
    state = reduce(state, { type: 'changedHere', key: 'u/ben', message: '9.1', change: react, edited: undefined });
    expect(first(state).reactions).toHaveLength(1);
    state = reduce(state, { type: 'undone', key: 'u/ben', message: before, change: react, reason: '' });
    expect(first(state).reactions).toEqual([]);
  });
});

describe('around the messages', () => {
  const typing = (kind: ActivityKind, from = 'ben'): Happened => ({
    type: 'activity',
    now: NOW,
    activity: { from, to: 'me', group: '', kind, data: new Uint8Array() },
  });
  const writing = (state: State) => conversationView(state, 'u/ben', (user) => user).typing;

  test('typing fades, ends with a message, and is never about oneself', () => {
    const state = after(typing(ActivityKind.TYPING));
    expect(writing(state)).toEqual(['ben']);
    expect(writing(reduce(state, { type: 'fade', now: NOW + 5999 }))).toEqual(['ben']);
    expect(writing(reduce(state, { type: 'fade', now: NOW + 6000 }))).toEqual([]);
    expect(writing(reduce(state, typing(ActivityKind.IDLE)))).toEqual([]);
    expect(writing(reduce(state, received(told(1, 'ben', 'me'))))).toEqual([]);
    expect(after(typing(ActivityKind.TYPING, 'me')).typing.size).toBe(0);
  });

  test('what the server says of a conversation counts, and a newer message stays', () => {
    const conversation = {
      with: 'ben',
      lastPlace: 4,
      lastAtMs: NOW + 4,
      unread: 3,
      readPlace: 1,
      markedUnread: false,
      muteUntilMs: 5,
      archived: false,
      favourite: true,
      contact: true,
      blocks: [1],
      lastMessage: told(4, 'ben', 'me'),
    } as unknown as Conversation;
    const state = after(received(told(9, 'ben', 'me')), {
      type: 'conversations',
      conversations: [conversation],
      complete: true,
    });
    expect(summaryOf(state, 'u/ben')).toMatchObject({
      unread: 3,
      favourite: true,
      contact: true,
      blocked: true,
      mutedUntil: 5,
      last: { text: 'text 9' },
    });
  });

  test('a group that is left is gone', () => {
    const event = (kind: GroupEventKind, users: string[]): Happened => ({
      type: 'groupEvent',
      event: { group: 'g', groupSeq: 4, kind, users, by: 'ben', atMs: NOW } as unknown as GroupEvent,
    });
    const state = after(event(GroupEventKind.CREATED, ['me', 'ben']), received(inGroup(1, 'ben', 5)));
    expect(state.summaries.has('g/g')).toBe(true);
    expect(reduce(state, event(GroupEventKind.REMOVED, ['cleo'])).summaries.has('g/g')).toBe(true);
    expect(reduce(state, event(GroupEventKind.REMOVED, ['me'])).summaries.has('g/g')).toBe(false);
  });

  const receipt = (
    deliveredToAll: number,
    readByAll: number,
    ...messages: [groupSeq: number, delivered: number, read: number][]
  ): Happened => ({
    type: 'groupReceipt',
    receipt: {
      ...{ group: 'g', deliveredToAll, readByAll, members: [] },
      messages: messages.map(([groupSeq, delivered, read]) => ({ groupSeq, members: 2, delivered, read })),
    },
  });
  const ticks = (state: State) => timelineOf(state, 'g/g').messages.map((message) => message.status);

  test('ticks of a group are what the server tells, also singly, and none is taken back', () => {
    const own = [11, 12, 13, 14, 15].map((place) => received(inGroup(place, 'me', place)));
    const state = after(inOpenGroup, ...own, receipt(12, 11, [12, 2, 1], [13, 2, 0], [14, 1, 1], [15, 2, 2]));
    expect(ticks(state)).toEqual(['read', 'delivered', 'delivered', 'sent', 'read']);
    const later = after(inOpenGroup, ...own, receipt(12, 11, [15, 2, 2]), receipt(10, 0), receipt(15, 13));
    expect(ticks(later)).toEqual(['read', 'read', 'read', 'delivered', 'read']);
    expect(summaryOf(later, 'g/g').last?.status).toBe('read');
  });

  test('ticks that were told before a message is there are its ticks then', () => {
    const state = after(inOpenGroup, receipt(12, 11), received(inGroup(1, 'me', 11)), received(inGroup(2, 'me', 12)));
    expect(ticks(state)).toEqual(['read', 'delivered']);
  });

  test('a message that disappears is gone when its time has come', () => {
    const state = after(received(told(1, 'ben', 'me', { disappearsAtMs: NOW + 50 })), received(told(2, 'ben', 'me')));
    expect(texts(reduce(state, { type: 'disappeared', now: NOW + 49 }))).toHaveLength(2);
    expect(texts(reduce(state, { type: 'disappeared', now: NOW + 50 }))).toEqual(['text 2']);
  });
});

test('the list of last time is there at once, and what the server does not know goes', () => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
  };
  const before = after(received(told(1, 'ben', 'me')), received(told(2, 'cleo', 'me')));
  kept.set(
    'tidings.ui.me.list',
    JSON.stringify([...before.summaries.values(), { key: 'nonsense' }, 7, { key: 'u/x', lastAt: 'no' }]),
  );
  const restored = reduce(initial('me'), { type: 'restored', summaries: new KeptList('me', storage).read() });
  expect([...restored.summaries.keys()].sort()).toEqual(['u/ben', 'u/cleo']);
  expect(summaryOf(restored, 'u/ben')).toMatchObject({ unread: 1, last: { text: 'text 1' } });
  const conversation = {
    with: 'ben',
    lastPlace: 2,
    lastAtMs: NOW + 2,
    unread: 0,
    readPlace: 2,
    blocks: [],
  } as unknown as Conversation;
  const listed = [{ type: 'conversations', conversations: [conversation] }, { type: 'listed' }] as const;
  expect([...listed.reduce(reduce, restored).summaries.keys()]).toEqual(['u/ben']);
});

test('what the device keeps comes back, and nonsense is nothing', () => {
  const kept = new Map<string, string>();
  const storage = {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
  };
  const memory = new Memory('me', storage);
  expect(memory.read().known).toBe(false);
  memory.writeNow({ marks: new Map([['ben 7', { delivered: 4, read: 2 }]]), groups: new Map([['g', 12]]) });
  expect(memory.read()).toEqual({
    marks: new Map([['ben 7', { delivered: 4, read: 2 }]]),
    groups: new Map([['g', 12]]),
    known: true,
  });
  for (const nonsense of ['{', '[]', '{"marks":[1,["x"]],"groups":"no"}']) {
    kept.set('tidings.ui.me', nonsense);
    expect(memory.read().groups.size).toBe(0);
  }
});
