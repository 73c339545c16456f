// The vectors that all SDKs are held to: sdk/vectors/README.md.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { create, fromBinary, fromJson, type JsonValue, toBinary, toJson } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { Backoff } from '../src/core/backoff.js';
import { decodeFrame, sendFrame } from '../src/core/codec.js';
import { closeCodeOf, errorOf, nextOf, reconnects } from '../src/core/codes.js';
import { DEFAULT_CONFIG } from '../src/core/config.js';
import { Connection } from '../src/core/connection.js';
import type { Effect, Emit, Input } from '../src/core/effects.js';
import { emptyState, type Outgoing, type State, type StateChange } from '../src/core/state.js';
import type { Failure } from '../src/errors.js';
import {
  UserPresenceSchema as OwnPresence,
  ResponseSchema as OwnResponse,
} from '../src/gen/tidings/client/v1/client_pb.js';
import { ErrorCode } from '../src/gen/tidings/errors/v1/errors_pb.js';
import { EnvelopeSchema as OwnEnvelope } from '../src/gen/tidings/message/v1/message_pb.js';
import { formatMessageId, parseMessageId } from '../src/message-id.js';
import { encode } from '../src/wire.js';
import {
  ClientFrameSchema,
  Durability,
  RequestSchema,
  ResponseSchema,
  SendSchema,
  ServerFrameSchema,
  UserPresenceSchema,
} from './gen/tidings/client/v1/client_pb.js';
import {
  ActivitySchema,
  ChangeSchema,
  ContentSchema,
  DisappearanceSchema,
  EnvelopeSchema,
} from './gen/tidings/message/v1/message_pb.js';

const FOLDER = new URL('../../../vectors/', import.meta.url);
/** Writes down what this core does, for the difference to be read. */
const WRITE = process.env.TIDINGS_WRITE_VECTORS !== undefined;
// biome-ignore lint/suspicious/noExplicitAny: vectors are data that each test reads in its own way.
type Vectors = any;
const read = (path: string): Vectors => JSON.parse(readFileSync(new URL(path, FOLDER), 'utf8'));

test('ceilings of the back-off', () => {
  for (const { firstMs, lastMs, ceilingsMs } of read('backoff.json')) {
    const backoff = new Backoff(firstMs, lastMs);
    for (const ceiling of ceilingsMs) {
      expect(backoff.ceiling()).toBe(ceiling);
      expect(backoff.next(() => 0.999_999)).toBe(ceiling);
    }
    backoff.reset();
    expect(backoff.next(() => 0)).toBe(0);
    expect(backoff.ceiling()).toBe(ceilingsMs[1]);
  }
});

test('what codes ask for', () => {
  const { errors, closeCodes } = read('codes.json');
  for (const name of Object.keys(ErrorCode).filter((name) => Number.isNaN(Number(name)))) {
    const code = ErrorCode[name as keyof typeof ErrorCode];
    if (code === ErrorCode.ERROR_CODE_UNSPECIFIED) continue;
    expect({ code, closeCode: closeCodeOf(code), next: nextOf(code) }, name).toEqual(errors[name]);
    expect(errorOf(closeCodeOf(code))).toBe(code);
  }
  for (const { closeCode, reconnects: comesBack, error } of closeCodes) {
    const found = errorOf(closeCode);
    expect([reconnects(closeCode), found === undefined ? null : ErrorCode[found]], closeCode).toEqual([
      comesBack,
      error,
    ]);
  }
});

test('message ids', () => {
  const { valid, invalid } = read('message-ids.json');
  for (const text of valid) expect(formatMessageId(parseMessageId(text))).toBe(text);
  for (const text of invalid) expect(() => parseMessageId(text), text).toThrow(RangeError);
});

test('frames of sends', () => {
  for (const { frame, hex } of read('sends.json')) {
    const expected = fromBinary(ClientFrameSchema, Buffer.from(hex, 'hex'));
    expect(toJson(ClientFrameSchema, expected)).toEqual(toJson(ClientFrameSchema, fromJson(ClientFrameSchema, frame)));
    const { seq, after, content, change, disappears, ...rest } = fromJson(SendSchema, frame.send);
    const send: Outgoing = {
      key: 'k',
      to: rest.to,
      group: rest.group,
      content: content ? toBinary(ContentSchema, content) : new Uint8Array(),
      change: change ? toBinary(ChangeSchema, change) : new Uint8Array(),
      disappears: disappears && toBinary(DisappearanceSchema, disappears),
      ttlMs: rest.ttlMs === undefined ? undefined : Number(rest.ttlMs),
      receipts: rest.receipts,
      atMs: 0,
    };
    const bytes = sendFrame(Number(seq), Number(after), send);
    expect(bytes.length).toBe(hex.length / 2);
    expect(fromBinary(ClientFrameSchema, bytes)).toEqual(expected);
  }
});

describe('the core does what the scenarios say', () => {
  for (const file of readdirSync(new URL('connection/', FOLDER))) {
    test(file, () => {
      const scenario = read(`connection/${file}`);
      const { state, steps, resendUnknown = false } = scenario;
      const config = {
        ...DEFAULT_CONFIG,
        device: 'phone',
        agent: 'vectors',
        firstBackoff: 0,
        lastBackoff: 0,
        resendUnknown,
        // As an SDK that sees the server's pings, and is given a token once.
        pongTimeout: undefined,
        refreshToken: false,
      };
      const core = new Connection(config, storedState(state));
      steps.forEach((step: Vectors, index: number) => {
        core.handle(step.at, input(step.input));
        const effects = core.flush(step.at).flatMap(rendered);
        const wakeAt = core.wakeAt() ?? null;
        if (WRITE) Object.assign(step, { effects, wakeAt });
        expect(effects, `step ${index}: ${JSON.stringify(step.input)}`).toEqual(step.effects);
        expect(wakeAt, `step ${index}: wakes`).toBe(step.wakeAt);
      });
      if (WRITE) writeFileSync(new URL(`connection/${file}`, FOLDER), `${JSON.stringify(scenario, null, 2)}\n`);
    });
  }
});

function outgoing({ key = 'restored', to = '', group = '', text, ttlMs }: Vectors): Outgoing {
  const content = toBinary(ContentSchema, create(ContentSchema, { text }));
  const none = { change: new Uint8Array(), disappears: undefined, receipts: 0, atMs: 0 };
  return { key, to, group, content, ttlMs, ...none };
}

function storedState(stored: Vectors): State {
  if (!stored) return emptyState();
  return {
    identity: { app: 'default', user: 'alice', device: 'phone' },
    mailboxEpoch: BigInt(stored.mailboxEpoch),
    stream: BigInt(stored.stream),
    nextSeq: stored.nextSeq,
    cursor: stored.cursor,
    outbox: stored.outbox.map((send: Vectors) => ({ ...outgoing(send), seq: send.seq })),
  };
}

function input(given: Record<string, Vectors>): Input {
  const [[name, value] = ['', undefined]] = Object.entries(given);
  switch (name) {
    case 'start':
    case 'tick':
    case 'stop':
      return { type: name };
    case 'opened':
      return { type: 'opened', token: value.token };
    case 'closed':
      return { type: 'closed', code: value.code ?? undefined, reason: value.reason };
    case 'frame':
      return { type: 'frame', frame: decodeFrame(toBinary(ServerFrameSchema, fromJson(ServerFrameSchema, value))) };
    case 'send':
      return { type: 'send', send: outgoing(value) };
    case 'acknowledge':
      return { type: 'acknowledge', ...value };
    case 'read': {
      const { stream, seq } = parseMessageId(value.id);
      return { type: 'read', from: value.from, stream, seq: Number(seq) };
    }
    case 'request': {
      const { id, request } = fromJson(RequestSchema, value);
      const body = toBinary(RequestSchema, create(RequestSchema, { request }));
      const watch = request.case === 'watchPresence' ? request.value.users : undefined;
      const receipts = request.case === 'watchGroupReceipts' ? request.value : undefined;
      return { type: 'request', id, body, watch, receipts };
    }
    case 'activity':
      return { type: 'activity', body: toBinary(ActivitySchema, fromJson(ActivitySchema, value)) };
  }
  throw new Error(`${name} is no input`);
}

function rendered(effect: Effect): JsonValue[] {
  switch (effect.type) {
    case 'persist':
      return [{ persist: change(effect.change) }];
    case 'transmit':
      return [{ transmit: toJson(ClientFrameSchema, fromBinary(ClientFrameSchema, effect.frame)) }];
    case 'numbered':
      // The Rust SDK has nobody to tell about messages of an earlier life.
      return effect.key === 'restored' ? [] : [{ numbered: { key: effect.key, id: effect.id } }];
    case 'settled': {
      const { send, restored, result } = effect;
      const { to, group } = send;
      const told = { key: restored ? null : send.key, to, group };
      if (!result.ok) return [{ settled: { ...told, failed: failure(result.failure) } }];
      const { id, sentAtMs, durability } = result;
      return [{ settled: { ...told, sent: { id, sentAtMs, durability: Durability[durability] as string } } }];
    }
    case 'answered': {
      const { id, answer } = effect;
      if (!answer.ok) return [{ unanswered: { id: String(id), failed: failure(answer.failure) } }];
      return [
        {
          answered: toJson(
            ResponseSchema,
            fromBinary(ResponseSchema, encode(OwnResponse, { id, response: answer.response })),
          ),
        },
      ];
    }
    case 'emit':
      return [{ emit: emitted(effect.emit) }];
    case 'stopped': {
      const { kind, code } = effect.reason;
      return [{ stopped: { kind, ...(code !== undefined && { code: ErrorCode[code] as string }) } }];
    }
    default:
      return [{ [effect.type]: {} }];
  }
}

function failure({ kind, code }: Failure): JsonValue {
  // Why it stopped is said by `stopped`.
  return { kind, ...(code !== undefined && kind !== 'stopped' && { code: ErrorCode[code] as string }) };
}

function change(change: StateChange): JsonValue {
  switch (change.type) {
    case 'reset': {
      const { mailboxEpoch, stream, nextSeq, cursor, outbox } = change.state;
      const numbers = { mailboxEpoch: Number(mailboxEpoch), stream: Number(stream), nextSeq, cursor };
      return { reset: { ...numbers, outbox: outbox.map(({ seq }) => seq) } };
    }
    case 'enqueued':
      return { enqueued: change.send.seq };
    case 'answered':
      return { answered: change.seq };
    case 'cursor':
      return { cursor: change.cursor };
  }
}

function emitted(emit: Emit): JsonValue {
  switch (emit.is) {
    case 'online':
      return { online: { user: emit.welcome.user } };
    case 'offline':
      return { offline: { retryInMs: emit.retryInMs } };
    case 'delivery': {
      const { generation, seq, envelope } = emit;
      return { delivery: { generation, seq, envelope: envelopeJson(envelope) } };
    }
    case 'transient':
      return { transient: envelopeJson(emit.envelope) };
    case 'presence':
      return {
        presence: emit.users.map((user) =>
          toJson(UserPresenceSchema, fromBinary(UserPresenceSchema, encode(OwnPresence, user))),
        ),
      };
    case 'unknownRange':
      return { unknownRange: [emit.from, emit.to] };
    case 'caughtUp':
      return { caughtUp: {} };
    case 'newStream':
      return { newStream: Number(emit.stream) };
  }
}

function envelopeJson(envelope: object | undefined): JsonValue {
  return toJson(EnvelopeSchema, fromBinary(EnvelopeSchema, encode(OwnEnvelope, envelope ?? {})));
}
