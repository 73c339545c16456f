import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { UpdateConversationSchema } from '../src/gen/tidings/client/v1/client_pb.js';
import { ChangeSchema, ContentSchema, MessageSchema } from '../src/gen/tidings/message/v1/message_pb.js';
import { isUpTo } from '../src/index.js';
import { fromPlain, toPlain } from '../src/plain.js';

test('what an application gives is what comes out on the other side', () => {
  const given = {
    text: 'look',
    type: 3,
    fields: { lang: 'en' },
    replyTo: '77826.12',
    mentions: [{ user: 'bob', start: 0, length: 4 }],
    location: { latitudeE7: -521234567, longitudeE7: 10, liveUntilMs: 1_763_880_000_000 },
    poll: { question: 'when?', options: [{ id: 'a', text: 'now' }], choices: 2 },
    attachments: [{ file: 'f', size: 5_000_000_000, sha256: new Uint8Array([1, 2]), name: 'a.png' }],
    data: new Uint8Array([9]),
  };
  const bytes = toBinary(ContentSchema, fromPlain(ContentSchema, given));
  expect(toPlain(fromBinary(ContentSchema, bytes))).toMatchObject(given);
});

test('ids are text, numbers are numbers, and fields without a value are there', () => {
  const message = create(MessageSchema, { id: { stream: 1n, seq: 2n }, from: 'bob', sentAtMs: 5n });
  expect(toPlain(message)).toMatchObject({ id: '1.2', from: 'bob', to: '', sentAtMs: 5, reactions: [], pinned: false });
  expect(Object.keys(toPlain(message))).not.toContain('$typeName');
});

test('what is not set stays unset, and what is no field is passed over', () => {
  const change = fromPlain(UpdateConversationSchema, {
    with: 'bob',
    archived: false,
    muteUntilMs: undefined,
    nonsense: 1,
  });
  expect(change).toEqual(create(UpdateConversationSchema, { with: 'bob', archived: false }));
  expect(change.muteUntilMs).toBeUndefined();
  expect(() => fromPlain(ChangeSchema, { of: 'no id' })).toThrow(RangeError);
});

test('a watermark speaks for its stream up to its number', () => {
  expect([isUpTo('5.3', '5.3'), isUpTo('5.2', '5.3'), isUpTo('5.4', '5.3'), isUpTo('6.1', '5.3')]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
