// The frames that go out. What the application says is encoded once, when it says it, and copied into each attempt's frame: fields of
// protobuf may stand in any order.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  type ClientFrame,
  ClientFrameSchema,
  SendSchema,
  type ServerFrame,
  ServerFrameSchema,
} from '../gen/tidings/client/v1/client_pb.js';
import type { Outgoing } from './state.js';

export type ClientFrameBody = Exclude<ClientFrame['frame'], { case: undefined }>;
export type ServerFrameBody = ServerFrame['frame'];

const FRAME = { send: 2, request: 6, activity: 7 };
const SEND = { content: 4, change: 8, disappears: 12 };
const REQUEST_ID = 1;

export function encodeFrame(frame: ClientFrameBody): Uint8Array {
  return toBinary(ClientFrameSchema, create(ClientFrameSchema, { frame }));
}

/** @throws when it is no frame. One of a kind that is not known has no `case`. */
export function decodeFrame(bytes: Uint8Array): ServerFrameBody {
  return fromBinary(ServerFrameSchema, bytes).frame;
}

export function sendFrame(seq: number, after: number, send: Outgoing): Uint8Array {
  const { to, group, receipts, ttlMs } = send;
  const named = create(SendSchema, { seq: BigInt(seq), after: BigInt(after), to, group, receipts });
  if (ttlMs !== undefined) named.ttlMs = BigInt(ttlMs);
  const writer = new BinaryWriter().raw(toBinary(SendSchema, named));
  if (send.change.length > 0) delimited(writer, SEND.change, send.change);
  else delimited(writer, SEND.content, send.content);
  if (send.disappears) delimited(writer, SEND.disappears, send.disappears);
  return framed(FRAME.send, writer.finish());
}

/** `body` is an encoded `Request` without its id. */
export function requestFrame(id: bigint, body: Uint8Array): Uint8Array {
  return framed(FRAME.request, new BinaryWriter().tag(REQUEST_ID, WireType.Varint).uint64(id).raw(body).finish());
}

/** `body` is an encoded `Activity`. */
export function activityFrame(body: Uint8Array): Uint8Array {
  return framed(FRAME.activity, body);
}

function framed(field: number, body: Uint8Array): Uint8Array {
  return delimited(new BinaryWriter(), field, body).finish();
}

function delimited(writer: BinaryWriter, field: number, bytes: Uint8Array): BinaryWriter {
  return writer.tag(field, WireType.LengthDelimited).bytes(bytes);
}
