// The frames that go out. What the application says is encoded once, when it says it, and copied into each attempt's frame: fields of
// protobuf may stand in any order.
import {
  type ClientFrame,
  ClientFrameSchema,
  RequestSchema,
  SendSchema,
  type ServerFrame,
  ServerFrameSchema,
} from '../gen/tidings/client/v1/client_pb.js';
import { decode, encode, Writer } from '../wire.js';
import type { Outgoing } from './state.js';

export type ClientFrameBody = Exclude<ClientFrame['frame'], { case: undefined }>;
export type ServerFrameBody = ServerFrame['frame'];

const FRAME = { send: 2, request: 6, activity: 7 };
const SEND = { content: 4, change: 8, disappears: 12 };

export function encodeFrame(frame: ClientFrameBody): Uint8Array {
  return encode(ClientFrameSchema, { frame });
}

/** @throws when it is no frame. One of a kind that is not known has no `case`. */
export function decodeFrame(bytes: Uint8Array): ServerFrameBody {
  return decode(ServerFrameSchema, bytes).frame;
}

export function sendFrame(seq: number, after: number, send: Outgoing): Uint8Array {
  const { content, change, disappears, ...named } = send;
  const writer = new Writer().raw(encode(SendSchema, { ...named, seq, after }));
  if (change.length > 0) writer.delimited(SEND.change, change);
  else writer.delimited(SEND.content, content);
  if (disappears) writer.delimited(SEND.disappears, disappears);
  return framed(FRAME.send, writer.finish());
}

/** `body` is an encoded `Request` without its id. */
export function requestFrame(id: bigint, body: Uint8Array): Uint8Array {
  return framed(FRAME.request, new Writer().raw(encode(RequestSchema, { id })).raw(body).finish());
}

/** `body` is an encoded `Activity`. */
export function activityFrame(body: Uint8Array): Uint8Array {
  return framed(FRAME.activity, body);
}

function framed(field: number, body: Uint8Array): Uint8Array {
  return new Writer().delimited(field, body).finish();
}
