import { type Attachment, type Client, ErrorCode, TidingsError } from '@tidings/client';
import { IDBFactory } from 'fake-indexeddb';
import { beforeEach, expect, test } from 'vitest';
import type { Happened } from '../src/store/happened.js';
import { KEPT_BYTES, KEPT_MESSAGES, type KeptMessage, KeptUploads } from '../src/store/kept-uploads.js';
import { reduce } from '../src/store/reduce.js';
import { initial, timelineOf } from '../src/store/state.js';
import { UploadingPart } from '../src/store/uploading.js';

let indexedDB: IDBFactory;
/** As in a browser whose other tabs are gone. */
const locks = {
  request: (_name: string, _options: object, does: () => Promise<void>) => does(),
} as unknown as LockManager;

beforeEach(() => {
  indexedDB = new IDBFactory();
});

const uploads = () => new KeptUploads('ada', { indexedDB, locks });
const file = (name: string, size = 10) => ({ name, size, type: 'text/plain' }) as File;
const kept = (local: string, ...files: File[]) => ({
  message: { local, conversation: 'u/ben', at: 1, text: local, mentions: [], replyTo: undefined, uploaded: [] },
  files,
});
const stay = (): Promise<never> => new Promise(() => {});

/** A life of the page: what it uploads by `upload`, and what it hands over. */
function page(upload: (file: File) => Promise<Attachment>, isQueued = true) {
  let state = initial('ada');
  const happened = (what: Happened) => {
    state = reduce(state, what);
  };
  const handed: { key: string; text: string; files: string[] }[] = [];
  const client = { files: { upload } } as unknown as Client;
  const context = { client, names: (user: string) => user, state: () => state, happened };
  const part = new UploadingPart(context, uploads(), (_to, { text }, files, key) => {
    handed.push({ key, text, files: files.map(({ name }) => name) });
    return { key, id: undefined, queued: isQueued ? Promise.resolve() : stay(), sent: stay() };
  });
  const shown = () => timelineOf(state, 'u/ben').messages.map(({ text, status }) => [text, status]);
  return { part, handed, shown };
}

const there = async ({ name }: File) => ({ name }) as Attachment;

test('an upload that a reload ended goes on from the files that are there, and is handed over once', async () => {
  const first = page(({ name }) => (name === 'a' ? there(file('a')) : stay()));
  void first.part.begin('u/ben', { text: 'Look', mentions: [] }, [file('a'), file('b')]);
  const isKept = async () => (await uploads().all())[0]?.message.uploaded.length;
  await expect.poll(isKept).toBe(1);
  expect([first.handed, first.part.wouldLose]).toEqual([[], false]);

  const asked: string[] = [];
  const second = page((given) => {
    asked.push(given.name);
    return there(given);
  });
  await second.part.restore();
  await expect.poll(() => second.handed).toHaveLength(1);
  expect(second.handed).toMatchObject([{ text: 'Look', files: ['a', 'b'] }]);
  expect([asked, second.shown()]).toEqual([['b'], [['Look', 'sending']]]);
  await expect.poll(() => uploads().all()).toEqual([]);

  const third = page(there);
  await third.part.restore();
  expect([third.handed, third.shown()]).toEqual([[], []]);
});

test('a page that ended between the upload and the outbox hands it over again under its name', async () => {
  const first = page(there, false);
  void first.part.begin('u/ben', { text: 'Look', mentions: [] }, [file('a')]);
  await expect.poll(() => first.handed).toHaveLength(1);
  const second = page(there);
  await second.part.restore();
  await expect.poll(() => second.handed).toEqual(first.handed);
  // The client tells of it, if it is new for it.
  expect(second.shown()).toEqual([]);
});

test('a file that is refused is not tried again by the next page; one that found no server is', async () => {
  const refused = (code: ErrorCode | undefined) => async () => {
    throw new TidingsError({ kind: 'refused', code, message: 'no' });
  };
  const first = page(refused(ErrorCode.TOO_LARGE));
  await first.part.begin('u/ben', { text: 'too large', mentions: [] }, [file('a')]);
  expect(first.shown()).toEqual([['too large', 'failed']]);
  expect(await uploads().all()).toEqual([]);
  const second = page(refused(ErrorCode.UNAVAILABLE));
  await second.part.begin('u/ben', { text: 'away', mentions: [] }, [file('a')]);
  expect((await uploads().all()).map(({ message }: { message: KeptMessage }) => message.text)).toEqual(['away']);
});

test('so many bytes are kept, and no more', async () => {
  const half = KEPT_BYTES / 2;
  expect(await uploads().keep(kept('a', file('a', half)))).toBe(true);
  expect(await uploads().keep(kept('c', file('c', half + 1)))).toBe(false);
  expect(await uploads().keep(kept('b', file('b', half)))).toBe(true);
  await uploads().drop('a');
  expect(await uploads().keep(kept('d', file('d', half + 1)))).toBe(false);
  expect(await uploads().keep(kept('e', file('e', half)))).toBe(true);
});

test('so many messages are kept, and no more', async () => {
  for (let index = 0; index < KEPT_MESSAGES; index += 1)
    expect(await uploads().keep(kept(`m ${index}`, file('a')))).toBe(true);
  expect(await uploads().keep(kept('one more', file('a')))).toBe(false);
});

test('what is not kept would be lost, and is uploaded all the same', async () => {
  let go: (made: Attachment) => void = () => {};
  const large = page(() => new Promise((resolve) => (go = resolve)));
  const sent = large.part.begin('u/ben', { text: 'large', mentions: [] }, [file('a', KEPT_BYTES + 1)]);
  await expect.poll(() => large.shown()).toEqual([['large', 'sending']]);
  expect(large.part.wouldLose).toBe(true);
  go({ name: 'a' } as Attachment);
  await sent;
  expect([large.handed.length, large.part.wouldLose]).toEqual([1, false]);
});
