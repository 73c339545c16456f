// One page and its gateway: the outbox across crashes, tokens, events, and the ways it ends.
import { afterEach, expect, test } from 'vitest';
import {
  ChangeKind,
  Client,
  type ClientOptions,
  codeName,
  ErrorCode,
  ReceiptRequest,
  SignedOutError,
  TidingsError,
} from '../src/index.js';
import { Browser, type Page } from './support/browser.js';
import { next, reaches, within } from './support/deadline.js';
import { Gateway, type Session } from './support/gateway.js';

const open: Client[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

function connect(page: Page, options: Partial<ClientOptions> = {}): Client {
  const getToken = async () => 'token';
  const client = new Client(
    { url: 'ws://gateway', getToken, backoff: { first: 1, last: 1 }, ...options },
    page.environment,
  );
  open.push(client);
  client.connect();
  return client;
}

async function connected(options: Partial<ClientOptions> = {}) {
  const [browser, gateway] = [new Browser(), new Gateway()];
  const page = browser.page(gateway);
  const client = connect(page, options);
  const session = await gateway.next();
  await session.welcome();
  await reaches(client, 'connected');
  return { browser, gateway, page, client, session };
}

function deliver(session: Session, seq: number, after: number, text: string, from = 'bob') {
  const message = { id: { stream: 5n, seq: BigInt(seq) }, from, to: 'alice', content: { text } };
  const envelope = { event: { case: 'message' as const, value: message } };
  session.write({ case: 'deliver', value: { seq: BigInt(seq), after: BigInt(after), envelope } });
}

const failure = (promise: Promise<unknown>) =>
  within(
    'it fails',
    promise.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );

test('a message that was sent and not answered goes out again with its number after a crash', async () => {
  const { browser, gateway, page, client, session } = await connected();
  const sending = client.send({ to: 'bob', text: 'hi' });
  const send = await session.next('send');
  expect(send.seq).toBe(1n);
  page.crash();

  const again = connect(browser.page(gateway));
  const outcome = next(again, 'statusChanged');
  const after = await gateway.next();
  const hello = await after.welcome();
  expect(hello.resume).toMatchObject({ stream: 77826n, mailboxEpoch: 3n });
  const [waiting] = await again.pending();
  expect([waiting?.key, waiting?.id, waiting?.message?.content?.text]).toEqual([sending.key, '77826.1', 'hi']);
  const repeated = await after.accept();
  expect([repeated.seq, repeated.to]).toEqual([1n, 'bob']);
  expect(await outcome).toMatchObject({ status: 'sent', id: '77826.1', key: sending.key, to: 'bob' });
  const following = again.send({ to: 'bob', text: 'new' });
  expect((await after.accept()).seq).toBe(2n);
  await following.sent;
});

test('the device keeps its name and its cursor: what was handled is not told again', async () => {
  const { browser, gateway, page, client, session } = await connected();
  const texts: string[] = [];
  client.on('messageReceived', ({ message }) => void texts.push(message.content?.text ?? ''));
  deliver(session, 1, 0, 'one');
  deliver(session, 2, 1, 'two');
  while ((await session.next('ack')).cursor !== 2n);
  page.crash();
  const again = connect(browser.page(gateway));
  again.on('messageReceived', ({ message }) => void texts.push(message.content?.text ?? ''));
  const after = await gateway.next();
  const hello = await after.welcome({ tail: 3n });
  expect(hello.resume?.cursor).toBe(2n);
  const caughtUp = next(again, 'caughtUp');
  deliver(after, 3, 2, 'three');
  await caughtUp;
  expect(texts).toEqual(['one', 'two', 'three']);
});

test('an entry counts as handled when its handlers are through, also when one of them fails', async () => {
  const { client, session } = await connected();
  let finish = () => {};
  const handled: number[] = [];
  const errors: unknown[] = [];
  const reported = (error: unknown) => void errors.push(error);
  (globalThis as { reportError?: unknown }).reportError = reported;
  client.on('messageReceived', ({ mailboxSeq }) => {
    handled.push(mailboxSeq);
    if (mailboxSeq === 1) return new Promise<void>((resolve) => (finish = resolve));
    throw new Error('of the application');
  });
  const first = next(client, 'messageReceived');
  deliver(session, 1, 0, 'slow');
  deliver(session, 2, 1, 'fails');
  await first;
  // Something that goes through after the deliveries came: they are not acknowledged by then.
  const sending = client.send({ to: 'bob', text: 'meanwhile' });
  const frame = await session.frames.next('the client writes');
  expect(frame.case).toBe('send');
  session.accepted({ seq: 1n });
  await sending.sent;
  expect(handled).toEqual([1]);
  finish();
  while ((await session.next('ack')).cursor !== 2n);
  expect(handled).toEqual([1, 2]);
  expect(errors).toEqual([new Error('of the application')]);
  (globalThis as { reportError?: unknown }).reportError = undefined;
});

test('a message is given its id as soon as it has one, and waits for the first connection', async () => {
  const [browser, gateway] = [new Browser(), new Gateway()];
  gateway.away = true;
  const client = connect(browser.page(gateway));
  const sending = client.send({ to: 'bob', text: 'early' });
  await within('it is kept', sending.queued);
  expect(sending.id).toBeUndefined();
  await reaches(client, 'waiting');
  gateway.away = false;
  const session = await gateway.next();
  await session.welcome();
  await session.accept();
  expect((await within('it is sent', sending.sent)).id).toBe('77826.1');
});

test('a refusal says why, and the wait for a retry is kept', async () => {
  const { client, session } = await connected();
  const refused = client.send({ to: 'nobody', text: 'hi' });
  const statuses = next(client, 'statusChanged');
  const { seq } = await session.next('send');
  session.write({ case: 'refused', value: { seq, code: ErrorCode.UNAVAILABLE, message: '', retryAfterMs: 1 } });
  expect((await session.next('send')).seq).toBe(seq);
  session.write({
    case: 'refused',
    value: { seq, code: ErrorCode.RECIPIENT_UNKNOWN, message: 'there is no such user' },
  });
  const error = await failure(refused.sent);
  expect(error).toBeInstanceOf(TidingsError);
  expect(error).toMatchObject({ kind: 'refused', code: ErrorCode.RECIPIENT_UNKNOWN });
  expect((error as Error).message).toBe('RECIPIENT_UNKNOWN: there is no such user');
  expect(await statuses).toMatchObject({ status: 'failed', reason: ErrorCode.RECIPIENT_UNKNOWN, key: refused.key });
  expect(codeName(ErrorCode.INBOX_FULL)).toBe('INBOX_FULL');
});

test('a signal withdraws what the server cannot have, and nothing else', async () => {
  const { client, session } = await connected();
  const given = new AbortController();
  const transmitted = client.send({ to: 'bob', text: 'gone already', signal: given.signal });
  const send = await session.next('send');
  given.abort();
  session.accepted(send);
  await within('it is sent', transmitted.sent);

  session.close(1006);
  await reaches(client, 'waiting');
  const taken = new AbortController();
  const withdrawn = client.send({ to: 'bob', text: 'taken back', signal: taken.signal });
  taken.abort();
  expect(await failure(withdrawn.sent)).toMatchObject({ kind: 'withdrawn' });
  expect(await failure(client.send({ to: 'bob', text: 'never', signal: taken.signal }).sent)).toMatchObject({
    kind: 'withdrawn',
  });
  expect(await client.pending()).toEqual([]);
});

test('a revoked token stops the client with its reason, and what waits stays for the next token', async () => {
  const { client, gateway, session } = await connected();
  const sending = client.send({ to: 'bob', text: 'hi' });
  const history = client.history.page({ with: 'bob' });
  await session.next('request');
  session.write({ case: 'closing', value: { code: ErrorCode.TOKEN_REVOKED, message: 'the token was revoked' } });
  session.close(4503);
  const state = await reaches(client, 'stopped');
  expect(state).toMatchObject({ reason: ErrorCode.TOKEN_REVOKED, error: 'the token was revoked', user: 'alice' });
  expect(await failure(sending.sent)).toMatchObject({ kind: 'stopped', code: ErrorCode.TOKEN_REVOKED });
  expect(await failure(history)).toMatchObject({ kind: 'stopped' });
  expect(await failure(client.send({ to: 'bob', text: 'later' }).sent)).toMatchObject({ kind: 'stopped' });
  client.connect();
  const after = await gateway.next();
  await after.welcome();
  expect((await after.accept()).seq).toBe(1n);
});

test('an expired token is asked for anew, once; any other end of it stops', async () => {
  const asked: unknown[] = [];
  const { gateway, client, session } = await connected({
    getToken: async ({ reason, previous }) => {
      asked.push([reason, previous]);
      return `token-${asked.length}`;
    },
  });
  session.close(4502);
  const second = await gateway.next();
  expect((await second.welcome()).token).toBe('token-2');
  await reaches(client, 'connected');
  // A break asks for no token.
  second.close(1006);
  const third = await gateway.next();
  expect((await third.next('hello')).token).toBe('token-2');
  third.close(4502);
  const fourth = await gateway.next();
  expect((await fourth.next('hello')).token).toBe('token-3');
  fourth.close(4502);
  expect(await reaches(client, 'stopped')).toMatchObject({ reason: ErrorCode.TOKEN_EXPIRED });
  expect(asked).toEqual([
    ['first', undefined],
    ['expired', 'token-1'],
    ['expired', 'token-2'],
  ]);
});

test('a token that is near its end is not used for a new connection', async () => {
  let count = 0;
  const { gateway, session } = await connected({
    getToken: async () => {
      count += 1;
      return { token: `token-${count}`, expiresAtMs: Date.now() + 20_000 };
    },
  });
  session.close(1006);
  const second = await gateway.next();
  expect((await second.welcome()).token).toBe('token-2');
});

test('no token for now is a reason to try again; signed out is one to stop', async () => {
  const [browser, gateway] = [new Browser(), new Gateway()];
  const answers = [() => Promise.reject(new Error('the backend is away')), () => Promise.reject(new SignedOutError())];
  const client = connect(browser.page(gateway), { getToken: () => answers.shift()?.() ?? Promise.resolve('token') });
  expect(await reaches(client, 'waiting')).toMatchObject({ error: expect.stringContaining('the backend is away') });
  expect(await reaches(client, 'stopped')).toMatchObject({ error: 'no token: signed out', reason: undefined });
  client.connect();
  await (await gateway.next()).welcome();
  await reaches(client, 'connected');
});

test('when the storage takes nothing, nothing is promised', async () => {
  const { page, client, session } = await connected();
  page.breakStorage();
  const sending = client.send({ to: 'bob', text: 'hi' });
  expect(await failure(sending.queued)).toMatchObject({ kind: 'not-stored' });
  expect(await failure(sending.sent)).toMatchObject({ kind: 'not-stored' });
  expect(await reaches(client, 'stopped')).toMatchObject({
    error: expect.stringContaining('the storage does not work'),
  });
  expect(session.frames.length).toBe(0);
});

test('state of another user is not sent under the name of this one', async () => {
  const { browser, gateway, page, client, session } = await connected();
  const sending = client.send({ to: 'bob', text: 'private' });
  await sending.queued;
  await session.next('send');
  page.crash();
  const other = connect(browser.page(gateway));
  const after = await gateway.next();
  await after.welcome({ user: 'mallory' });
  const state = await reaches(other, 'stopped');
  expect(state.error).toContain('belongs to default/alice');
  expect(after.frames.length).toBe(0);
});

test('receipts, failures, changes, group events, conversations and activities are told as plain data', async () => {
  const { client, session } = await connected();
  const told: Record<string, unknown>[] = [];
  for (const event of [
    'statusChanged',
    'messageChanged',
    'groupEventReceived',
    'conversationUpdated',
    'activityReceived',
  ] as const) {
    client.on(event, (context) => void told.push({ name: event, ...context }));
  }
  client.on(
    'messageSent',
    ({ key, message }) => void told.push({ name: 'messageSent', key, text: message.content?.text }),
  );
  const id = { stream: 77826n, seq: 4n };
  const copy = { id: { stream: 9n, seq: 1n }, from: 'alice', to: 'bob', content: { text: 'from the phone' } };
  const events = [
    { case: 'receipt' as const, value: { from: 'bob', kind: 2, stream: 77826n, upToSeq: 4n, atMs: 7n } },
    { case: 'failure' as const, value: { id, to: 'bob', reason: ErrorCode.EXPIRED, atMs: 8n } },
    { case: 'change' as const, value: { of: id, kind: ChangeKind.REACT, emoji: '+1', from: 'bob', to: 'alice' } },
    { case: 'groupEvent' as const, value: { group: 'team', groupSeq: 3n, kind: 2, users: ['carol'] } },
    { case: 'conversationUpdate' as const, value: { conversation: { with: 'bob', unread: 2n } } },
    { case: 'message' as const, value: copy },
    { case: 'message' as const, value: { ...copy, id } },
    { case: undefined },
  ];
  events.forEach((event, index) => {
    session.write({ case: 'deliver', value: { seq: BigInt(index + 1), after: BigInt(index), envelope: { event } } });
  });
  while ((await session.next('ack')).cursor !== BigInt(events.length));
  const activity = { from: 'bob', to: 'alice', kind: 1 };
  const came = next(client, 'activityReceived');
  session.write({ case: 'transient', value: { envelope: { event: { case: 'activity', value: activity } } } });
  await came;
  expect(told).toMatchObject([
    { name: 'statusChanged', status: 'read', id: '77826.4', upTo: true, to: 'bob', atMs: 7 },
    { name: 'statusChanged', status: 'failed', id: '77826.4', upTo: false, reason: ErrorCode.EXPIRED },
    { name: 'messageChanged', change: { of: '77826.4', kind: ChangeKind.REACT, emoji: '+1' }, mailboxSeq: 3 },
    { name: 'groupEventReceived', event: { group: 'team', groupSeq: 3, users: ['carol'] } },
    { name: 'conversationUpdated', conversation: { with: 'bob', unread: 2, archived: false } },
    { name: 'messageSent', key: undefined, text: 'from the phone' },
    { name: 'activityReceived', activity: { from: 'bob', kind: 1 } },
  ]);
  // All of it can be cloned and written as JSON.
  expect(structuredClone(told)).toEqual(told);
  JSON.stringify(told);
});

test('an unknown range and a transient message are told', async () => {
  const [browser, gateway] = [new Browser(), new Gateway()];
  const client = connect(browser.page(gateway));
  const lost = next(client, 'continuityLost');
  const session = await gateway.next();
  await session.welcome({ unknown: { from: 3n, to: 9n }, cursor: 9n, tail: 9n });
  expect(await lost).toEqual({ from: 3, to: 9 });
  const received = next(client, 'messageReceived');
  const value = { id: { stream: 5n, seq: 1n }, from: 'bob', to: 'alice', content: { type: 7 } };
  session.write({ case: 'transient', value: { envelope: { event: { case: 'message', value } } } });
  expect(await received).toMatchObject({ transient: true, mailboxSeq: 0, message: { content: { type: 7 } } });
});

test('the network that comes back is not waited for, and one that goes is not believed in', async () => {
  const { gateway, page, client, session } = await connected({ backoff: { first: 3_600_000, last: 3_600_000 } });
  page.window.dispatchEvent(new Event('offline'));
  expect(await reaches(client, 'waiting')).toMatchObject({ error: 'the network is gone' });
  expect(session.frames.length).toBe(0);
  page.window.dispatchEvent(new Event('online'));
  await (await gateway.next()).welcome();
  await reaches(client, 'connected');
});

test('several gateways take turns', async () => {
  const [browser, gateway] = [new Browser(), new Gateway()];
  const client = connect(browser.page(gateway), { url: ['ws://one', 'https://two:7700/path'] });
  const first = await gateway.next();
  first.close(1006);
  const second = await gateway.next();
  await second.welcome();
  await reaches(client, 'connected');
  expect([...gateway.urls].sort()).toEqual(['ws://one/v1/connect', 'wss://two:7700/path']);
  const address = () => new Client({ url: 'ftp://x', getToken: async () => '' }, browser.page(gateway).environment);
  expect(address).toThrow(TypeError);
});

test('without storage each client is a device of its own, and nothing is kept', async () => {
  const [browser, gateway] = [new Browser(), new Gateway()];
  const clients = [1, 2].map(() => connect(browser.page(gateway), { storage: 'memory' }));
  const sessions = [await gateway.next(), await gateway.next()];
  const hellos = await Promise.all(sessions.map((session) => session.welcome()));
  expect(new Set(hellos.map(({ device }) => device)).size).toBe(2);
  for (const client of clients) await reaches(client, 'connected');
  expect(await browser.indexedDB.databases()).toEqual([]);
});

test('a full outbox says so', async () => {
  const [browser, gateway] = [new Browser(), new Gateway()];
  gateway.away = true;
  const client = connect(browser.page(gateway), { storage: 'memory' });
  const large = 'x'.repeat(1024 * 1024);
  const sendings = Array.from({ length: 17 }, () => client.send({ to: 'bob', text: large }));
  expect(await failure(sendings[16]?.sent as Promise<unknown>)).toMatchObject({ kind: 'full' });
  await within('the others wait', Promise.all(sendings.slice(0, 15).map(({ queued }) => queued)));
});

test('transient events that nobody takes are dropped', async () => {
  const { client, session } = await connected();
  let go = () => {};
  const gate = new Promise<void>((resolve) => (go = resolve));
  let count = 0;
  client.on('activityReceived', () => {
    count += 1;
    return gate;
  });
  const activity = () =>
    session.write({
      case: 'transient',
      value: { envelope: { event: { case: 'activity', value: { from: 'bob', to: 'alice' } } } },
    });
  const first = next(client, 'activityReceived');
  activity();
  await first;
  for (let sent = 0; sent < 2_100; sent += 1) activity();
  const message = next(client, 'messageReceived');
  deliver(session, 1, 0, 'after them');
  // An answer to what came after them: they have arrived.
  const history = client.history.page({ with: 'bob' });
  const { id } = await session.next('request');
  session.write({ case: 'response', value: { id, response: { case: 'history', value: {} } } });
  await within('the answer', history);
  go();
  await message;
  expect(count).toBe(1 + 2_048);
});

test('what is given again under its name is sent once', async () => {
  const { client, session } = await connected();
  const first = client.send({ to: 'bob', text: 'once', key: 'mine' });
  const meanwhile = client.send({ to: 'bob', text: 'once', key: 'mine' });
  const { seq } = await session.accept();
  const [accepted, same] = await within('both are sent', Promise.all([first.sent, meanwhile.sent]));
  const later = await within('it was sent', client.send({ to: 'bob', text: 'once', key: 'mine' }).sent);
  expect([same, later].map(({ id }) => id)).toEqual([accepted.id, accepted.id]);
  const another = client.send({ to: 'bob', text: 'another', key: 'x'.repeat(64) });
  expect((await session.accept()).seq).toBe(seq + 1n);
  await another.sent;
  for (const key of ['', 'x'.repeat(65)]) expect(() => client.send({ to: 'bob', text: 'no', key })).toThrow(RangeError);
});

test('what a message says of its delivery is what the server is told', async () => {
  const { client, session } = await connected();
  const price = client.send({ group: 'prices', text: '41.2', ttlMs: 0, conflationKey: 'EURUSD' });
  expect(await session.accept()).toMatchObject({ group: 'prices', to: '', ttlMs: 0n, conflationKey: 'EURUSD' });
  await price.sent;
  client.send({
    to: 'bob',
    text: 'gone soon',
    replyTo: '5.1',
    receipts: ReceiptRequest.RECEIPTS_NONE,
    disappears: { afterMs: 60_000, from: 2 },
  });
  const send = await session.accept();
  expect(send).toMatchObject({ to: 'bob', conflationKey: '', receipts: 1, disappears: { afterMs: 60_000n, from: 2 } });
  expect([send.ttlMs, send.content?.replyTo]).toMatchObject([undefined, { stream: 5n, seq: 1n }]);
  client.edit({ to: 'bob' }, '77826.2', { text: 'edited' });
  expect((await session.accept()).change).toMatchObject({
    kind: ChangeKind.EDIT,
    of: { seq: 2n },
    content: { text: 'edited' },
  });
});
