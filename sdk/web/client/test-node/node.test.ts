// The client against a real node.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  ActivityKind,
  type Client,
  Durability,
  ErrorCode,
  GroupKind,
  type MessageReceived,
  PresenceState,
  Role,
} from '../src/index.js';
import { Browser } from '../test/support/browser.js';
import { DEADLINE, next, reaches, within } from '../test/support/deadline.js';
import { connect, Node, page, revoke, tokenOf } from './node.js';

let node: Node;
const open: Client[] = [];

beforeAll(async () => {
  node = await Node.start('gateway.send_window=8', 'gateway.write_timeout_ms=500', 'gateway.presence_interval_ms=50');
});
afterAll(() => node.stop());
afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

/** A user of the test's own, connected. */
async function person(name: string, at = page(new Browser())) {
  const user = `${name}-${Math.random().toString(36).slice(2, 10)}`;
  const token = await tokenOf(node, user);
  const client = connect(node, token.secret, at);
  open.push(client);
  const received = record(client);
  await reaches(client, 'connected');
  return { user, client, token, page: at, received };
}

/** The texts that come, in order, and a wait until there are so many. */
function record(client: Client) {
  const texts: string[] = [];
  let changed = () => {};
  client.on('messageReceived', ({ message, echo }) => {
    if (!echo) texts.push(message.content?.text ?? '');
    changed();
  });
  const atLeast = (count: number) =>
    within(
      `${count} messages come`,
      (async () => {
        while (texts.length < count) await new Promise<void>((resolve) => (changed = resolve));
      })(),
    );
  return { texts, atLeast };
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => String(from + index));

test('two people write, and are told what became of it', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const came = next(bob.client, 'messageReceived');
  const sending = alice.client.send({ to: bob.user, text: 'hi', content: { fields: { lang: 'en' } } });
  const accepted = await within('it is sent', sending.sent);
  const { message } = await came;
  expect(message).toMatchObject({ id: accepted.id, from: alice.user, to: bob.user, sentAtMs: accepted.sentAtMs });
  expect(message.content).toMatchObject({ text: 'hi', fields: { lang: 'en' } });
  const read = next(alice.client, 'statusChanged', ({ status }) => status === 'read');
  await bob.client.markRead({ with: alice.user, id: message.id ?? '' });
  expect(await read).toMatchObject({ id: accepted.id, upTo: true, to: bob.user });

  const changed = next(bob.client, 'messageChanged');
  await within('it is edited', alice.client.edit({ to: bob.user }, accepted.id, { text: 'hello' }).sent);
  expect((await changed).change).toMatchObject({ of: accepted.id, content: { text: 'hello' } });
  await within('it is reacted to', bob.client.react({ to: alice.user }, accepted.id, '+1').sent);
  const history = await alice.client.history.page({ with: bob.user });
  expect(history.messages).toMatchObject([
    { place: 1, message: { content: { text: 'hello' }, reactions: [{ from: bob.user, emoji: '+1' }] } },
  ]);
  const found = await bob.client.search({ text: 'hel' });
  expect(found.items).toMatchObject([{ with: alice.user, message: { id: accepted.id } }]);

  const second = await within('sent', alice.client.send({ to: bob.user, text: 'more', replyTo: accepted.id }).sent);
  const listed = await bob.client.conversations.list();
  expect(listed.items).toMatchObject([
    { with: alice.user, unread: 1, lastMessage: { id: second.id, content: { replyTo: accepted.id } } },
  ]);
  expect(await bob.client.conversations.update(alice.user, { archived: true, readPlace: 2 })).toMatchObject({
    archived: true,
    unread: 0,
  });
  await within('recalled', alice.client.recall({ to: bob.user }, second.id).sent);
  expect((await bob.client.devices()).length).toBe(1);
});

test('a refusal has its code', async () => {
  const { client } = await person('alice');
  await expect(client.send({ to: 'nobody-of-this-name', text: 'x' }).sent).rejects.toMatchObject({
    kind: 'refused',
    code: ErrorCode.RECIPIENT_UNKNOWN,
  });
  await expect(client.history.page({ with: 'x'.repeat(64) })).rejects.toMatchObject({ kind: 'refused' });
  const large = client.send({ to: 'nobody', text: 'x'.repeat(70_000) });
  await expect(large.sent).rejects.toMatchObject({ code: ErrorCode.TOO_LARGE });
});

test('more than the window holds goes out in order', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const sendings = numbers(0, 200).map((text) => alice.client.send({ to: bob.user, text }));
  await within('all are sent', Promise.all(sendings.map(({ sent }) => sent)));
  await bob.received.atLeast(200);
  expect(bob.received.texts).toEqual(numbers(0, 200));
});

test('the server is killed in the middle: nothing is lost, doubled or out of order', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const sendings = numbers(0, 100).map((text) => alice.client.send({ to: bob.user, text }));
  await bob.received.atLeast(10);
  await node.kill9();
  await Promise.all([reaches(alice.client, 'waiting'), reaches(bob.client, 'waiting')]);
  sendings.push(...numbers(100, 120).map((text) => alice.client.send({ to: bob.user, text })));
  await within('they are kept', Promise.all(sendings.map(({ queued }) => queued)));
  await node.launch();
  await within('all are sent', Promise.all(sendings.map(({ sent }) => sent)));
  await bob.received.atLeast(120);
  expect(bob.received.texts).toEqual(numbers(0, 120));
});

test('a page that crashes between sending and acceptance sends once', async () => {
  const browser = new Browser();
  const [alice, bob] = [await person('alice', page(browser)), await person('bob')];
  await within('the first', alice.client.send({ to: bob.user, text: 'before' }).sent);
  alice.page.deafen();
  const unheard = alice.client.send({ to: bob.user, text: 'unheard' });
  await bob.received.atLeast(2);
  const never = alice.client.send({ to: bob.user, text: 'kept' });
  await within('they are kept', Promise.all([unheard.queued, never.queued]));
  alice.page.crash();
  const again = connect(node, alice.token.secret, page(browser));
  open.push(again);
  await reaches(again, 'connected');
  await within('a new one', again.send({ to: bob.user, text: 'after' }).sent);
  await bob.received.atLeast(4);
  expect(bob.received.texts).toEqual(['before', 'unheard', 'kept', 'after']);
  expect(await again.pending()).toEqual([]);
  // The sender's copy of a message that was sent a second time has been seen to come after its acceptance.
  const kept = async () =>
    (await again.history.page({ with: bob.user })).messages.map(({ message }) => message?.content?.text).sort();
  await expect.poll(kept, { timeout: DEADLINE }).toEqual(['after', 'before', 'kept', 'unheard']);
});

test('a recipient that reloads is told each message once', async () => {
  const browser = new Browser();
  const [alice, bob] = [await person('alice'), await person('bob', page(browser))];
  const early = numbers(0, 20).map((text) => alice.client.send({ to: bob.user, text }));
  await bob.received.atLeast(20);
  await within('acknowledged', Promise.all(early.map(({ sent }) => sent)));
  await bob.client.close();
  const late = numbers(20, 40).map((text) => alice.client.send({ to: bob.user, text }));
  await within('sent', Promise.all(late.map(({ sent }) => sent)));
  const again = connect(node, bob.token.secret, page(browser));
  open.push(again);
  const received = record(again);
  await next(again, 'caughtUp');
  await received.atLeast(20);
  expect(received.texts).toEqual(numbers(20, 40));
});

test('a revoked token stops the client with its reason', async () => {
  const { user, client, token } = await person('alice');
  const stopped = reaches(client, 'stopped');
  await revoke(node, user, token.id);
  expect(await stopped).toMatchObject({ reason: ErrorCode.TOKEN_REVOKED, user });
  client.connect();
  await next(client, 'stateChanged', ({ state, reason }) => state === 'stopped' && reason === ErrorCode.TOKEN_REVOKED);
});

test('two tabs of one person share a device, and the second goes on when the first crashes', async () => {
  const browser = new Browser();
  const [alice, bob] = [await person('alice', page(browser)), await person('bob')];
  const second = connect(node, alice.token.secret, page(browser));
  open.push(second);
  await reaches(second, 'connected');
  expect((await second.devices()).length).toBe(1);
  const both = [alice.client, second].map((tab) => next(tab, 'messageReceived'));
  await within('sent', bob.client.send({ to: alice.user, text: 'to both' }).sent);
  for (const { message } of await Promise.all(both)) expect(message.content?.text).toBe('to both');
  alice.page.deafen();
  const sendings = numbers(0, 30).map((text) => second.send({ to: bob.user, text }));
  await bob.received.atLeast(5);
  alice.page.crash();
  await within('all are sent', Promise.all(sendings.map(({ sent }) => sent)));
  await bob.received.atLeast(30);
  expect(bob.received.texts).toEqual(numbers(0, 30));
  expect((await second.devices()).length).toBe(1);
});

test('an application that is slow is given no more than a window, and everything in the end', async () => {
  const [alice, bob] = [await person('alice'), await person('bob', page(new Browser()))];
  let go = () => {};
  const gate = new Promise<void>((resolve) => (go = resolve));
  const seen: MessageReceived[] = [];
  bob.client.on('messageReceived', async (context) => {
    seen.push(context);
    await gate;
  });
  const sendings = numbers(0, 600).map((text) => alice.client.send({ to: bob.user, text }));
  await within('all are sent', Promise.all(sendings.map(({ sent }) => sent)));
  expect(seen.length).toBe(1);
  go();
  await bob.received.atLeast(600);
  expect(bob.received.texts).toEqual(numbers(0, 600));
});

test('a connection that takes nothing is closed, and goes on where it stood', async () => {
  const at = page(new Browser());
  const [alice, bob] = [await person('alice'), await person('bob', at)];
  for (const socket of at.sockets) socket.pause();
  const text = 'x'.repeat(60_000);
  // Transients are not bounded by the delivery window: they fill the kernel's buffers.
  const closed = () => node.metric('tidings_gateway_closes_total{code="SLOW_CONSUMER"}');
  const before = await closed();
  while (before === (await closed())) {
    const batch = Array.from({ length: 8 }, () => alice.client.send({ to: bob.user, text, ttlMs: 0 }).sent);
    await within('they are handed on', Promise.allSettled(batch));
  }
  const slow = next(bob.client, 'stateChanged', ({ state }) => state === 'waiting');
  for (const socket of at.sockets) socket.resume();
  await slow;
  await reaches(bob.client, 'connected');
  const arrived = next(bob.client, 'messageReceived', ({ transient }) => !transient);
  await within('sent', alice.client.send({ to: bob.user, text: 'still there' }).sent);
  expect((await arrived).message.content?.text).toBe('still there');
});

test('groups: made, written to, read, left', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const group = `team-${alice.user}`;
  const created = next(bob.client, 'groupEventReceived');
  const made = await alice.client.groups.create(group, { displayName: 'The team' }, [bob.user]);
  expect(made.group).toMatchObject({ id: group, displayName: 'The team', members: 2 });
  expect((await created).event).toMatchObject({ group, users: expect.arrayContaining([bob.user]) });
  const echo = next(alice.client, 'messageReceived');
  const came = next(bob.client, 'messageReceived');
  const accepted = await within('sent', alice.client.send({ group, text: 'all' }).sent);
  expect(await echo).toMatchObject({ echo: true, message: { id: accepted.id, group } });
  const { message } = await came;
  expect(message).toMatchObject({ group, from: alice.user, content: { text: 'all' } });
  await bob.client.markRead({ group, groupSeq: message.groupSeq });
  // They are gathered in the group's shard, and nobody is told when: they have to be asked for.
  const receipts = () => alice.client.groups.receipts(group, message.groupSeq);
  await expect.poll(receipts, { timeout: DEADLINE }).toMatchObject({ members: 1, readBy: [bob.user] });
  expect((await bob.client.history.page({ group })).messages).toMatchObject([
    { message: { content: { text: 'all' } } },
  ]);
  await alice.client.groups.changeMember(group, bob.user, { role: Role.ADMIN });
  expect((await bob.client.groups.get(group)).members).toMatchObject([{ user: bob.user, role: Role.ADMIN }]);
  await alice.client.groups.changeSettings(group, { displayName: 'Us', attributes: { colour: 'red' } });
  expect((await bob.client.groups.list()).items).toMatchObject([
    { group: { displayName: 'Us', attributes: { colour: 'red' } } },
  ]);
  expect((await alice.client.groups.members(group)).items.map(({ user }) => user).sort()).toEqual(
    [alice.user, bob.user].sort(),
  );
  await bob.client.groups.leave(group);
  await expect(bob.client.groups.get(group)).rejects.toMatchObject({ code: ErrorCode.NOT_FOUND });
});

test('receipts of a group are told to who watches them', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const group = `told-${alice.user}`;
  await alice.client.groups.create(group, {}, [bob.user]);
  await alice.client.groups.watchReceipts(group);
  const place = next(alice.client, 'messageReceived', ({ echo }) => echo);
  const came = next(bob.client, 'messageReceived');
  const delivered = next(alice.client, 'groupReceiptReceived', ({ receipt }) =>
    receipt.messages.some(({ delivered, read }) => delivered === 1 && read === 0),
  );
  await within('sent', alice.client.send({ group, text: 'all' }).sent);
  const { groupSeq } = (await place).message;
  await came;
  expect((await delivered).receipt).toMatchObject({ group, messages: [{ groupSeq, members: 1 }] });
  const read = next(alice.client, 'groupReceiptReceived', ({ receipt }) => receipt.readByAll >= groupSeq);
  await bob.client.markRead({ group, groupSeq });
  expect((await read).receipt.members).toMatchObject([{ user: bob.user, read: groupSeq }]);
  await alice.client.groups.unwatchReceipts(group);
  await expect(bob.client.groups.watchReceipts('no-such-group')).rejects.toMatchObject({ kind: 'refused' });
});

test('live data: members who are online get it, who may not send is refused, and nobody keeps it', async () => {
  const [feed, reader] = [await person('feed'), await person('reader')];
  const group = `prices-${feed.user}`;
  // What is stored nowhere comes to who is known as a member by then.
  const isMember = next(reader.client, 'groupEventReceived');
  await feed.client.groups.create(group, { kind: GroupKind.ANNOUNCEMENT }, [reader.user]);
  await isMember;
  const price = { group, ttlMs: 0, conflationKey: 'EUR/USD', content: { type: 7001, fields: { price: '1.08' } } };
  const came = next(reader.client, 'messageReceived', ({ transient }) => transient);
  const accepted = await within('it is handed on', feed.client.send(price).sent);
  expect(accepted.durability).toBe(Durability.TRANSIENT);
  expect(await came).toMatchObject({
    mailboxSeq: 0,
    message: { id: accepted.id, group, groupSeq: 0, content: { type: 7001, fields: { price: '1.08' } } },
  });
  // A client without a device sends as well, and is given nothing of what its user sends.
  const sender = connect(node, feed.token.secret, page(new Browser()), { device: '' });
  open.push(sender);
  const heard: unknown[] = [];
  sender.on('messageReceived', (received) => void heard.push(received));
  const again = next(reader.client, 'messageReceived', ({ transient }) => transient);
  await within('it is handed on', sender.send(price).sent);
  expect((await again).message.from).toBe(feed.user);
  await within('a stored one is sent', sender.send({ group, text: 'kept' }).sent);
  await within('it is in the history', sender.history.page({ group }));
  expect(heard).toEqual([]);

  const refused = reader.client.send(price).sent;
  await expect(within('it is refused', refused)).rejects.toMatchObject({ code: ErrorCode.PERMISSION_DENIED });
  expect((await reader.client.history.page({ group })).messages).toMatchObject([
    { message: { content: { text: 'kept' } } },
  ]);
});

test('presence and activity', async () => {
  const [alice, bob] = [await person('alice'), await person('bob')];
  const online = next(alice.client, 'presenceChanged', ({ users }) => users.some(({ user }) => user === bob.user));
  await alice.client.watchPresence([bob.user]);
  expect((await online).users).toMatchObject([{ user: bob.user, state: PresenceState.ONLINE }]);
  const typing = next(alice.client, 'activityReceived');
  bob.client.activity({ to: alice.user, kind: ActivityKind.TYPING });
  expect((await typing).activity).toMatchObject({ from: bob.user, kind: ActivityKind.TYPING });
});
