// The encoding against protobuf-es, which reads the same .proto files its own way.
import { create, type DescField, type DescMessage, fromBinary, ScalarType, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import * as ownClient from '../src/gen/tidings/client/v1/client_pb.js';
import * as ownGroup from '../src/gen/tidings/group/v1/group_pb.js';
import * as ownMessage from '../src/gen/tidings/message/v1/message_pb.js';
import { isUpTo } from '../src/index.js';
import { decode, encode, type Schema } from '../src/wire.js';
import * as client from './gen/tidings/client/v1/client_pb.js';
import * as group from './gen/tidings/group/v1/group_pb.js';
import * as message from './gen/tidings/message/v1/message_pb.js';

/** Of both sides, by name. */
const PAIRS: [string, DescMessage, Schema<object>][] = [
  [client, ownClient],
  [group, ownGroup],
  [message, ownMessage],
].flatMap(([theirs, ours]) =>
  Object.entries(theirs as Record<string, unknown>).flatMap(
    ([name, schema]): [string, DescMessage, Schema<object>][] => {
      const own = (ours as Record<string, unknown>)[name];
      const isMessage = name.endsWith('Schema') && (schema as DescMessage).kind === 'message';
      return isMessage && name !== 'MessageIdSchema' ? [[name, schema as DescMessage, own as Schema<object>]] : [];
    },
  ),
);

/** Park and Miller's generator: a failing seed repeats. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

type Random = (below: number) => number;
const TEXTS = ['', 'a', 'größe', '👩‍👩‍👧', 'x'.repeat(200)];
const BITS = [0n, 1n, 127n, 128n, 300n, (1n << 32n) - 1n, 1n << 32n, (1n << 53n) - 1n];

function scalar(field: DescField, random: Random): unknown {
  const small = BITS[random(6)] as bigint;
  switch (field.scalar) {
    case ScalarType.BOOL:
      return random(2) === 1;
    case ScalarType.STRING:
      return TEXTS[random(TEXTS.length)];
    case ScalarType.BYTES:
      return new Uint8Array(random(20)).map(() => random(256));
    case ScalarType.UINT64:
      return ['stream', 'mailbox_epoch', 'id'].includes(field.name) && random(3) === 0
        ? (1n << 64n) - 1n
        : BITS[random(BITS.length)];
    case ScalarType.INT64:
      return (BITS[random(BITS.length)] as bigint) * (random(2) === 1 ? 1n : -1n);
    case ScalarType.SINT64:
      return random(3) === 0 ? -(1n << 63n) : (BITS[random(BITS.length)] as bigint) * (random(2) === 1 ? 1n : -1n);
    case ScalarType.DOUBLE:
      return DOUBLES[random(DOUBLES.length)];
    case ScalarType.UINT32:
      return Number(small);
    default:
      return (Number(small) >>> 1) * (random(2) === 1 ? 1 : -1);
  }
}

const DOUBLES = [0, -0, 0.1, -1.5e300, Number.MIN_VALUE, 2 ** 60, Number.POSITIVE_INFINITY, Number.NaN];

/** A message with about half of its fields. */
function anyMessage(schema: DescMessage, random: Random, depth = 0): Record<string, unknown> {
  const made = create(schema) as Record<string, unknown>;
  for (const field of schema.fields) {
    if (random(2) === 0 || (field.message && depth > 4)) continue;
    const one = () => {
      if (field.message) return anyMessage(field.message, random, depth + 1);
      if (field.enum) return field.enum.values[random(field.enum.values.length)]?.number;
      return scalar(field, random);
    };
    if (field.fieldKind === 'map' && field.mapKind === 'message')
      made[field.localName] = { a: one(), __proto__x: one() };
    else if (field.fieldKind === 'map')
      made[field.localName] = { [`key-${random(9)}`]: TEXTS[random(5)], __proto__x: 'y' };
    else if (field.fieldKind === 'list') made[field.localName] = Array.from({ length: random(4) }, one);
    else if (field.oneof && !field.proto.proto3Optional)
      made[field.oneof.localName] = { case: field.localName, value: one() };
    else made[field.localName] = one();
  }
  return made;
}

test('what protobuf-es writes is read, and what is written is the same for it', () => {
  expect(PAIRS.length).toBeGreaterThan(80);
  for (const [name, theirs, ours] of PAIRS) {
    for (let seed = 1; seed <= 60; seed += 1) {
      const bytes = toBinary(theirs, anyMessage(theirs, generator(seed)) as never);
      const again = encode(ours, decode(ours, bytes));
      expect(fromBinary(theirs, again), `${name}, seed ${seed}`).toEqual(fromBinary(theirs, bytes));
    }
  }
});

test('arbitrary and damaged bytes are refused, or read as something', () => {
  const schema = ownClient.ServerFrameSchema;
  const attempt = (bytes: Uint8Array) => {
    try {
      decode(schema, bytes);
    } catch (error) {
      expect(error instanceof RangeError || error instanceof TypeError, String(error)).toBe(true);
    }
  };
  for (let seed = 1; seed <= 2000; seed += 1) {
    const random = generator(seed);
    attempt(new Uint8Array(random(100)).map(() => random(256)));
    const bytes = toBinary(client.ServerFrameSchema, anyMessage(client.ServerFrameSchema, random) as never);
    if (bytes.length > 0) bytes[random(bytes.length)] = random(256);
    attempt(bytes.slice(0, random(bytes.length + 1)));
  }
});

test('hostile shapes cost nothing', () => {
  // A length beyond the end; a number without an end; groups, which protobuf gave up.
  expect(() => decode(ownClient.ServerFrameSchema, Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f))).toThrow(
    RangeError,
  );
  expect(() => decode(ownClient.PingSchema, new Uint8Array(11).fill(0xff))).toThrow(RangeError);
  expect(() => decode(ownClient.PingSchema, Uint8Array.of(0x0b))).toThrow(RangeError);
  expect(() => decode(ownMessage.ContentSchema, Uint8Array.of(0x12, 1, 0xff)), 'no UTF-8').toThrow(TypeError);
  const polluted = toBinary(
    message.ContentSchema,
    create(message.ContentSchema, { fields: JSON.parse('{"__proto__":"x"}') }),
  );
  const read = decode(ownMessage.ContentSchema, polluted);
  expect([Object.getPrototypeOf(read.fields), Object.keys(read.fields)]).toEqual([Object.prototype, ['__proto__']]);
});

test('fields that are not known are passed over', () => {
  const bytes = Uint8Array.of(
    ...toBinary(client.PingSchema, create(client.PingSchema, { nonce: 7n })),
    0xa0,
    1,
    5,
    0xaa,
    1,
    1,
    9,
    0xa5,
    1,
    1,
    2,
    3,
    4,
    0xa1,
    1,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
  );
  expect(decode(ownClient.PingSchema, bytes)).toEqual({ nonce: 7 });
  const frame = decode(ownClient.ServerFrameSchema, Uint8Array.of(0xfa, 7, 0));
  expect(frame).toEqual({ frame: { case: undefined } });
});

test('what does not fit its field is refused where it is given', () => {
  for (const [schema, value] of [
    [ownMessage.LocationSchema, { latitudeE7: 2 ** 31 }],
    [ownMessage.LocationSchema, { accuracyM: -1 }],
    [ownMessage.AttachmentSchema, { size: 0.5 }],
    [ownMessage.ChangeSchema, { of: 'no id' }],
    [ownClient.RequestSchema, { id: 1n << 64n }],
  ] as const) {
    expect(
      () => encode(schema as Schema<object>, value),
      JSON.stringify(value, (_, v) => String(v)),
    ).toThrow(RangeError);
  }
});

test('fields without a value are there, and what may be unset is not', () => {
  const empty = decode(ownMessage.MessageSchema, new Uint8Array());
  expect(empty).toMatchObject({ from: '', to: '', sentAtMs: 0, reactions: [], pinned: false });
  expect(empty.id).toBeUndefined();
  const archived = encode(ownClient.UpdateConversationSchema, { with: 'bob', archived: false });
  expect(fromBinary(client.UpdateConversationSchema, archived)).toEqual(
    create(client.UpdateConversationSchema, { with: 'bob', archived: false }),
  );
});

test('a message nests as deeply as it may, and no deeper', () => {
  // Content in a message in a conversation in an envelope: the deepest there is; a chain of our own goes further.
  const chain: Schema<{ next?: object }> = {
    fields: () => [
      {
        no: 1,
        letter: 'm',
        name: 'next',
        many: false,
        optional: false,
        oneof: undefined,
        schema: chain as Schema<object>,
      },
    ],
    byNumber: () => new Map(chain.fields().map((field) => [field.no, field])),
  };
  const nested = (depth: number) => {
    let bytes: Uint8Array = new Uint8Array();
    for (let level = 0; level < depth; level += 1) bytes = encode(WRAP, { inner: bytes });
    return bytes;
  };
  expect(() => decode(chain, nested(32))).not.toThrow();
  expect(() => decode(chain, nested(33))).toThrow('too deeply');
});

const WRAP: Schema<object> = {
  fields: () => [
    { no: 1, letter: 'y', name: 'inner', many: false, optional: true, oneof: undefined, schema: undefined },
  ],
  byNumber: () => new Map(),
};

test('a watermark speaks for its stream up to its number', () => {
  expect([isUpTo('5.3', '5.3'), isUpTo('5.2', '5.3'), isUpTo('5.4', '5.3'), isUpTo('6.1', '5.3')]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
