import { IDBFactory } from 'fake-indexeddb';
import { expect, test } from 'vitest';
import { emptyState, type Result, type StateChange, type StoredSend } from '../src/core/state.js';
import { IndexedDbStore } from '../src/shell/indexeddb.js';
import { SETTLED_KEPT } from '../src/shell/store.js';

function stored(seq: number): StoredSend {
  const none = { change: new Uint8Array(), disappears: undefined, ttlMs: undefined, receipts: 0, atMs: 1 };
  return { seq, key: `key-${seq}`, to: 'bob', group: '', content: new Uint8Array([seq]), ...none };
}

const sent: Result = { ok: true, id: '1.1', sentAtMs: 5, durability: 2 };

async function reopened(factory: IDBFactory, changes: StateChange[][]) {
  const store = await IndexedDbStore.open(factory, 'test');
  await store.load('first-name');
  for (const batch of changes) await store.write(batch);
  store.close();
  const again = await IndexedDbStore.open(factory, 'test');
  const loaded = await again.load('other-name');
  again.close();
  return loaded;
}

test('what was written is there again, with the name that came first', async () => {
  const state = {
    ...emptyState(),
    stream: (1n << 63n) + 1n,
    mailboxEpoch: 3n,
    identity: { app: 'a', user: 'u', device: 'first-name' },
  };
  const loaded = await reopened(new IDBFactory(), [
    [{ type: 'reset', state: { ...state, nextSeq: 3, outbox: [stored(2)] } }],
    [
      { type: 'enqueued', send: stored(3) },
      { type: 'enqueued', send: stored(4) },
    ],
    [
      { type: 'answered', seq: 3, key: 'key-3', result: sent },
      { type: 'cursor', cursor: 17 },
    ],
  ]);
  expect(loaded).toEqual({
    device: 'first-name',
    state: { ...state, nextSeq: 5, cursor: 17, outbox: [stored(2), stored(4)] },
    settled: [['key-3', sent]],
  });
});

test('a reset forgets the outbox of the earlier stream', async () => {
  const loaded = await reopened(new IDBFactory(), [
    [{ type: 'enqueued', send: stored(1) }],
    [{ type: 'reset', state: { ...emptyState(), stream: 9n, nextSeq: 1 } }],
  ]);
  expect(loaded.state).toEqual({ ...emptyState(), stream: 9n });
});

test('of the ends of messages the newest are kept', async () => {
  const answered = (seq: number): StateChange => ({ type: 'answered', seq, key: `key-${seq}`, result: sent });
  const many = Array.from({ length: SETTLED_KEPT }, (_, index) => answered(index + 1));
  const { settled } = await reopened(new IDBFactory(), [
    many,
    [answered(SETTLED_KEPT + 1)],
    [answered(SETTLED_KEPT + 2)],
  ]);
  expect(settled.length).toBe(SETTLED_KEPT);
  expect([settled[0]?.[0], settled.at(-1)?.[0]]).toEqual(['key-3', `key-${SETTLED_KEPT + 2}`]);
});

test('a format of a newer build is not touched', async () => {
  const factory = new IDBFactory();
  const newer = factory.open('test', 99);
  await new Promise((resolve) => {
    newer.onsuccess = resolve;
  });
  newer.result.close();
  await expect(IndexedDbStore.open(factory, 'test')).rejects.toMatchObject({ name: 'VersionError' });
});

test('a store that is gone refuses', async () => {
  const store = await IndexedDbStore.open(new IDBFactory(), 'test');
  await expect(store.write([{ type: 'cursor', cursor: 1 }])).rejects.toThrow('not loaded');
  await store.load('name');
  store.close();
  await expect(store.write([{ type: 'cursor', cursor: 1 }])).rejects.toMatchObject({ name: 'InvalidStateError' });
});
