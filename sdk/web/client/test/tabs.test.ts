// Tabs of one person: one connection, and none of what was sent lost or doubled when a tab goes.
import { expect, test } from 'vitest';
import { Client, type ClientOptions } from '../src/index.js';
import { Browser, type Page } from './support/browser.js';
import { next, reaches, within } from './support/deadline.js';
import { Gateway, type Session } from './support/gateway.js';

function open(page: Page, options: Partial<ClientOptions> = {}): Client {
  const getToken = async () => 'token';
  const backoff = { first: 1, last: 1 };
  const client = new Client({ url: 'ws://gateway', getToken, backoff, ...options }, page.environment);
  client.connect();
  return client;
}

async function two(): Promise<{
  browser: Browser;
  gateway: Gateway;
  pages: [Page, Page];
  tabs: [Client, Client];
  session: Session;
}> {
  const [browser, gateway] = [new Browser(), new Gateway()];
  const pages: [Page, Page] = [browser.page(gateway), browser.page(gateway)];
  const first = open(pages[0]);
  const session = await gateway.next();
  await session.welcome();
  await reaches(first, 'connected');
  const second = open(pages[1]);
  await reaches(second, 'connected');
  return { browser, gateway, pages, tabs: [first, second], session };
}

const text = (content: unknown) => (content as { text: string }).text;

test('two tabs share one connection, and both are told everything', async () => {
  const { gateway, tabs, session } = await two();
  const [first, second] = tabs;
  expect(second.state.user).toBe('alice');
  const echoes = tabs.map((tab) => next(tab, 'messageSent'));
  const statuses = tabs.map((tab) => next(tab, 'statusChanged', ({ status }) => status === 'sent'));
  const sending = second.send({ to: 'bob', text: 'from the second' });
  const send = await session.accept();
  expect([send.to, text(send.content)]).toEqual(['bob', 'from the second']);
  expect(await within('it is sent', sending.sent)).toEqual({ id: '77826.1', sentAtMs: 1000, durability: 2 });
  expect(sending.id).toBe('77826.1');
  for (const { message, key } of await Promise.all(echoes)) {
    expect([key, message.from, message.to, message.content?.text]).toEqual([
      sending.key,
      'alice',
      'bob',
      'from the second',
    ]);
  }
  for (const { key, id } of await Promise.all(statuses)) expect([key, id]).toEqual([sending.key, '77826.1']);

  const received = tabs.map((tab) => next(tab, 'messageReceived'));
  const message = { id: { stream: 5n, seq: 1n }, from: 'bob', to: 'alice', content: { text: 'hello' } };
  session.write({
    case: 'deliver',
    value: { seq: 1n, after: 0n, envelope: { event: { case: 'message', value: message } } },
  });
  for (const { message, mailboxSeq } of await Promise.all(received)) {
    expect([message.id, message.content?.text, mailboxSeq]).toEqual(['5.1', 'hello', 1]);
  }
  expect((await session.next('ack')).cursor).toBe(1n);
  expect(gateway.sessions.length).toBe(0);
  await Promise.all([first.close(), second.close()]);
});

test('when the tab with the connection closes, the next one goes on in the same stream', async () => {
  const { gateway, tabs, session } = await two();
  const [first, second] = tabs;
  // Not answered when the first one goes.
  const sending = second.send({ to: 'bob', text: 'hand-over' });
  const once = await session.next('send');
  await first.close();
  expect(first.state.state).toBe('idle');
  const after = await gateway.next();
  const hello = await after.welcome();
  expect(hello.resume?.stream).toBe(77826n);
  const again = await after.accept();
  expect([again.seq, text(again.content)]).toEqual([once.seq, 'hand-over']);
  expect((await within('it is sent', sending.sent)).id).toBe('77826.1');
  await second.close();
});

test('when the tab with the connection crashes, what others asked is asked again, and nothing doubles', async () => {
  const { gateway, pages, tabs, session } = await two();
  const [first, second] = tabs;
  const sent = second.send({ to: 'bob', text: 'one' });
  await session.accept();
  await within('the first is sent', sent.sent);
  const own = first.send({ to: 'bob', text: 'of the crashed' });
  await within('it is kept', own.queued);
  const others = second.send({ to: 'bob', text: 'of the other' });
  await within('it is kept', others.queued);
  expect((await session.next('send')).seq).toBe(2n);
  const history = second.history.page({ with: 'bob' });
  await session.next('request');
  pages[0].crash();

  const after = await gateway.next();
  await after.welcome();
  const numbers = [await after.accept(), await after.accept()].map(({ seq, content }) => [Number(seq), text(content)]);
  expect(numbers).toEqual([
    [2, 'of the crashed'],
    [3, 'of the other'],
  ]);
  expect((await within('the other is sent', others.sent)).id).toBe('77826.3');
  const asked = await after.next('request');
  const value = { id: asked.id, response: { case: 'history' as const, value: { messages: [], more: false } } };
  after.write({ case: 'response', value });
  expect(await within('the history is answered', history)).toEqual({ messages: [], more: false });
  expect(await second.pending()).toEqual([]);
  await second.close();
});

test('a message that was answered while its tab was not told is not sent a second time', async () => {
  const { gateway, browser, pages, tabs, session } = await two();
  const [, second] = tabs;
  // The leader takes the answer, and is gone before anybody hears of it.
  const sending = second.send({ to: 'bob', text: 'once' });
  const send = await session.next('send');
  const settled = next(tabs[0], 'statusChanged', ({ status }) => status === 'sent');
  const deaf = browser.deafen(pages[1]);
  session.accepted(send);
  await settled;
  pages[0].crash();
  deaf();
  const after = await gateway.next();
  await after.welcome();
  expect((await within('it is sent', sending.sent)).id).toBe('77826.1');
  const other = second.send({ to: 'bob', text: 'next' });
  const written = await after.accept();
  expect([written.seq, text(written.content)]).toEqual([2n, 'next']);
  await other.sent;
  await second.close();
});

test('all tabs together watch whom each of them watches, and no longer when a tab is gone', async () => {
  const { pages, tabs, session } = await two();
  const watched = async () => {
    const { id, request } = await session.next('request');
    session.write({
      case: 'response',
      value: { id, response: { case: 'presenceWatched', value: { leaseMs: 120_000 } } },
    });
    return request.case === 'watchPresence' ? [...request.value.users].sort() : undefined;
  };
  const [first, second] = tabs.map((tab, index) => tab.watchPresence([`user-${index}`]));
  expect(await watched()).toEqual(['user-0']);
  expect(await watched()).toEqual(['user-0', 'user-1']);
  await within('both are answered', Promise.all([first, second]));
  pages[1].crash();
  expect(await watched()).toEqual(['user-0']);
  await tabs[0].close();
});

test('a group of whose receipts two tabs are told is watched until neither wants it', async () => {
  const { pages, tabs, session } = await two();
  const asked = async () => {
    const { id, request } = await session.next('request');
    const response = { case: 'groupReceiptsWatched' as const, value: { leaseMs: 30_000 } };
    session.write({ case: 'response', value: { id, response } });
    return request.case === 'watchGroupReceipts' ? [request.value.group, request.value.off] : request.case;
  };
  for (const tab of tabs) {
    const watched = tab.groups.watchReceipts('team');
    expect(await asked()).toEqual(['team', false]);
    await within('it is watched', watched);
  }
  const receipt = { group: 'team', deliveredToAll: 4n, messages: [{ groupSeq: 5n, members: 2, delivered: 1 }] };
  const came = tabs.map((tab) => next(tab, 'groupReceiptReceived'));
  session.write({ case: 'transient', value: { envelope: { event: { case: 'groupReceipt', value: receipt } } } });
  for (const told of await Promise.all(came))
    expect(told.receipt).toMatchObject({ group: 'team', deliveredToAll: 4, messages: [{ groupSeq: 5, delivered: 1 }] });
  // The one still wants it: nothing is said.
  await within('the other one is told', tabs[0].groups.unwatchReceipts('team'));
  pages[1].crash();
  expect(await asked()).toEqual(['team', true]);
  await tabs[0].close();
});

test('accounts of one browser have nothing to do with each other', async () => {
  const [browser, gateway] = [new Browser(), new Gateway()];
  const clients = ['alice', 'bob'].map((account) => open(browser.page(gateway), { account }));
  const sessions = [await gateway.next(), await gateway.next()];
  const devices = await Promise.all(
    sessions.map(async (session, index) => (await session.welcome({ user: `user-${index}` })).device),
  );
  expect(new Set(devices).size).toBe(2);
  for (const client of clients) {
    await reaches(client, 'connected');
    await client.close();
  }
});
