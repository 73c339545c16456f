// What the state machine has beyond the Rust SDK's: see sdk/vectors for what both do.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { decodeFrame } from '../src/core/codec.js';
import { DEFAULT_CONFIG } from '../src/core/config.js';
import { Connection } from '../src/core/connection.js';
import type { Effect, Input } from '../src/core/effects.js';
import { RECEIPTS_LIMIT, WatchedReceipts } from '../src/core/receipts.js';
import { REQUEST_LIMIT } from '../src/core/requests.js';
import { emptyState, type Outgoing } from '../src/core/state.js';
import type { Response } from '../src/gen/tidings/client/v1/client_pb.js';
import { ContentSchema } from '../src/gen/tidings/message/v1/message_pb.js';
import { encode } from '../src/wire.js';
import { ClientFrameSchema, ServerFrameSchema } from './gen/tidings/client/v1/client_pb.js';

type Frame = NonNullable<MessageInitShape<typeof ServerFrameSchema>['frame']>;

const frame = (given: Frame): Input => ({
  type: 'frame',
  frame: decodeFrame(toBinary(ServerFrameSchema, create(ServerFrameSchema, { frame: given }))),
});
const welcome = (init: object = {}) =>
  frame({
    case: 'welcome',
    value: { app: 'default', user: 'alice', stream: 4096n, sendWindow: 8, heartbeatMs: 10_000, ...init },
  });

function send(key: string, to = 'bob'): Input {
  const content = encode(ContentSchema, { text: key });
  const none = { change: new Uint8Array(), disappears: undefined, ttlMs: undefined, receipts: 0, atMs: 0 };
  const outgoing: Outgoing = { key, to, group: '', content, ...none };
  return { type: 'send', send: outgoing };
}

function machine(config: Partial<typeof DEFAULT_CONFIG> = {}) {
  const core = new Connection(
    { ...DEFAULT_CONFIG, device: 'tab', firstBackoff: 0, lastBackoff: 0, ...config },
    emptyState(),
  );
  const step = (at: number, input: Input): Effect[] => {
    core.handle(at, input);
    return core.flush(at);
  };
  const online = () => {
    step(0, { type: 'start' });
    step(0, { type: 'opened', token: 't' });
    return step(0, welcome());
  };
  return { core, step, online };
}

/** The kinds of the frames that were written, and of what else was done. */
function kinds(effects: Effect[]): string[] {
  return effects.map((effect) =>
    effect.type === 'transmit' ? `>${fromBinary(ClientFrameSchema, effect.frame).frame.case}` : effect.type,
  );
}

test('silence is asked about, and ends the connection when nothing comes back', () => {
  const { core, step, online } = machine();
  online();
  expect(core.wakeAt()).toBe(10_000);
  expect(kinds(step(10_000, { type: 'tick' }))).toEqual(['>ping']);
  expect(core.wakeAt()).toBe(20_000);
  expect(kinds(step(12_000, frame({ case: 'pong', value: { nonce: 10_000n } })))).toEqual([]);
  expect(core.wakeAt()).toBe(22_000);
  expect(kinds(step(22_000, { type: 'tick' }))).toEqual(['>ping']);
  expect(kinds(step(32_000, { type: 'tick' }))).toEqual(['disconnect', 'emit']);
});

test('a timer that the browser held back asks before it gives up', () => {
  const { step, online } = machine();
  online();
  expect(kinds(step(3_600_000, { type: 'tick' }))).toEqual(['>ping']);
  expect(kinds(step(3_600_001, frame({ case: 'pong', value: {} })))).toEqual([]);
});

test('in a hurry the wait ends, and a connection is asked whether it lives, once', () => {
  const { step, online } = machine({ firstBackoff: 20_000, lastBackoff: 20_000 });
  online();
  expect(kinds(step(5, { type: 'hurry' }))).toEqual(['>ping']);
  expect(kinds(step(6, { type: 'hurry' }))).toEqual([]);
  step(7, { type: 'closed', code: 1006, reason: '' });
  expect(kinds(step(8, { type: 'hurry' }))).toEqual(['connect']);
  expect(kinds(step(9, { type: 'hurry' }))).toEqual([]);
});

test('the network that is lost ends the connection and the attempt, and no wait', () => {
  const { step, online } = machine();
  expect(kinds(step(0, { type: 'networkLost' }))).toEqual([]);
  online();
  expect(kinds(step(1, { type: 'networkLost' }))).toEqual(['disconnect', 'emit']);
  expect(kinds(step(2, { type: 'networkLost' }))).toEqual([]);
});

test('a message is withdrawn while it was never written, and its number is not given again', () => {
  const { step, online } = machine();
  step(0, send('a'));
  expect(kinds(step(0, { type: 'withdraw', key: 'a' }))).toEqual(['persist', 'settled']);
  expect(kinds(step(0, { type: 'withdraw', key: 'a' }))).toEqual([]);
  step(0, send('b'));
  online();
  expect(kinds(step(1, { type: 'withdraw', key: 'b' })), 'it was written').toEqual([]);
  step(2, { type: 'closed', code: 1006, reason: '' });
  expect(kinds(step(3, { type: 'withdraw', key: 'b' })), 'the server may have it').toEqual([]);
  const [persist] = step(4, send('c'));
  expect(persist).toMatchObject({ change: { type: 'enqueued', send: { seq: 2 } } });
  expect(kinds(step(4, { type: 'withdraw', key: 'c' }))).toEqual(['persist', 'settled']);
  const [after] = step(5, send('d'));
  expect(after).toMatchObject({ change: { type: 'enqueued', send: { seq: 3 } } });
});

test('an expired token is worth one more attempt for each connection', () => {
  const { step, online } = machine();
  online();
  expect(kinds(step(1, { type: 'closed', code: 4502, reason: '' }))).toEqual(['refreshToken', 'emit']);
  expect(kinds(step(1, { type: 'tick' }))).toEqual(['connect']);
  step(2, { type: 'opened', token: 'fresh' });
  expect(kinds(step(3, { type: 'closed', code: 4502, reason: '' }))).toEqual(['disconnect', 'stopped']);
});

test('so many questions wait, and no more', () => {
  const { step } = machine();
  const ask = (id: number) => step(0, { type: 'request', id: BigInt(id), body: new Uint8Array() });
  for (let id = 1; id <= REQUEST_LIMIT; id += 1) expect(kinds(ask(id))).toEqual([]);
  expect(ask(REQUEST_LIMIT + 1)).toMatchObject([
    { type: 'answered', answer: { ok: false, failure: { kind: 'full' } } },
  ]);
});

test('the jitter is uniform up to the ceiling', () => {
  for (const [random, retryInMs] of [
    [0, 0],
    [0.5, 250],
    [0.999_999, 500],
  ] as const) {
    const { step, online } = machine({ random: () => random, firstBackoff: 500, lastBackoff: 20_000 });
    online();
    const [effect] = step(1, { type: 'closed', code: 1006, reason: '' });
    expect(effect).toMatchObject({ emit: { is: 'offline', retryInMs } });
  }
});

// Random lives: whatever breaks, each message is accepted once, in the order of sending to its recipient.
test('lives with breaks, retries and reloads neither lose, double nor reorder', () => {
  for (let seed = 1; seed <= 300; seed += 1) live(seed);
});

function live(seed: number): void {
  let state = seed;
  // Park and Miller's generator: a failing seed repeats.
  const random = (below: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  const to = ['bob', 'carol'];
  const accepted = new Map<string, string[]>(to.map((user) => [user, []]));
  const seen = new Set<string>();
  const config = { ...DEFAULT_CONFIG, device: 'tab', firstBackoff: 0, lastBackoff: 0 };
  let core = new Connection(config, emptyState());
  let durable = emptyState();
  let [now, up, sent] = [0, false, 0];
  let inbox: Frame[] = [];
  const settled = new Set<string>();

  const perform = (effects: Effect[]) => {
    for (const effect of effects) if (effect.type === 'persist') durable = core.state();
    for (const effect of effects) {
      if (effect.type === 'connect') {
        up = true;
        inbox = [];
        give({ type: 'opened', token: 't' });
      } else if (effect.type === 'disconnect') {
        up = false;
      } else if (effect.type === 'settled') {
        expect(effect.result.ok, `seed ${seed}: ${JSON.stringify(effect.result)}`).toBe(true);
        settled.add(effect.send.key);
      } else if (effect.type === 'transmit' && up) {
        serve(effect.frame);
      }
    }
  };
  const give = (input: Input) => {
    core.handle(now, input);
    perform(core.flush(now));
  };
  const serve = (bytes: Uint8Array) => {
    const { frame: body } = fromBinary(ClientFrameSchema, bytes);
    if (body.case === 'hello') {
      inbox.push({
        case: 'welcome',
        value: { app: 'a', user: 'u', stream: 1n, sendWindow: 4, heartbeatMs: 10_000_000 },
      });
    } else if (body.case === 'send') {
      const { seq, after, to: user } = body.value;
      const name = `${user}.${seq}`;
      const isNew = !seen.has(name);
      if (isNew && after !== 0n && !seen.has(`${user}.${after}`)) {
        inbox.push({ case: 'refused', value: { seq, code: 48, retryAfterMs: 5 } });
      } else if (isNew && random(3) === 0) {
        inbox.push({ case: 'refused', value: { seq, code: 80, retryAfterMs: random(20) } });
      } else {
        if (isNew) {
          seen.add(name);
          accepted.get(user)?.push(body.value.content?.text ?? '');
        }
        inbox.push({ case: 'accepted', value: { seq, sentAtMs: 1n, durability: 2 } });
      }
    }
  };

  give({ type: 'start' });
  const total = 30;
  for (let step = 0; step < 3000 && settled.size < total; step += 1) {
    now += random(10);
    const kind = random(10);
    if (kind < 2 && sent < total) {
      give(send(`${sent}`, to[random(2)]));
      sent += 1;
    } else if (kind === 2 && random(4) === 0 && up) {
      up = false;
      inbox = [];
      give({ type: 'closed', code: 1006, reason: '' });
    } else if (kind === 3 && random(10) === 0) {
      up = false;
      inbox = [];
      core = new Connection(config, durable);
      give({ type: 'start' });
    } else if (kind < 7) {
      const [next] = inbox.splice(random(Math.max(1, inbox.length)), 1);
      if (next) give(frame(next));
    } else {
      give({ type: 'tick' });
    }
  }
  expect(settled.size, `seed ${seed}: all have their answer`).toBe(total);
  const texts = [...accepted.values()].flat();
  expect(texts.length, `seed ${seed}: once each`).toBe(total);
  for (const received of accepted.values()) {
    expect(received, `seed ${seed}: in order`).toEqual([...received].sort((a, b) => Number(a) - Number(b)));
  }
}

test('so many groups are watched for receipts, and so many named at a time', () => {
  const watched = new WatchedReceipts();
  for (let id = 0; id <= RECEIPTS_LIMIT; id += 1) {
    watched.asked(BigInt(id), { group: `group-${id}`, off: false });
    watched.answered(BigInt(id), { case: 'groupReceiptsWatched', value: { leaseMs: 30_000 } }, 0);
  }
  expect(watched.wakeAt()).toBe(15_000);
  watched.disconnected();
  const named: string[] = [];
  for (let round = 0; round <= RECEIPTS_LIMIT; round += 1) {
    const own: bigint[] = [];
    watched.takeDue(1, (frame) => {
      const { frame: sent } = fromBinary(ClientFrameSchema, frame);
      if (sent.case !== 'request' || sent.value.request.case !== 'watchGroupReceipts') throw new Error('not asked for');
      own.push(sent.value.id);
      named.push(sent.value.request.value.group);
    });
    if (own.length === 0) break;
    expect(own.length).toBe(8);
    expect([watched.wakeAt(), own.every((id) => watched.isOwn(id))]).toEqual([undefined, true]);
    for (const id of own)
      watched.prolonged(response(id, { case: 'groupReceiptsWatched', value: { leaseMs: 30_000 } }), 1);
  }
  // The first one had to go.
  expect(named.sort()).toEqual(Array.from({ length: RECEIPTS_LIMIT }, (_, index) => `group-${index + 1}`).sort());
  expect([watched.isOwn(2n ** 64n - 1n), watched.isOwn(1n)]).toEqual([false, false]);
});

function response(id: bigint, answer: Response['response']): Response {
  return { id, code: 0, message: '', retryAfterMs: undefined, response: answer };
}
