import type { DescField, DescMessage, MessageShape, Message as PbMessage } from '@bufbuild/protobuf';
import { create, ScalarType } from '@bufbuild/protobuf';
import type { MessageId as PbMessageId } from './gen/tidings/message/v1/message_pb.js';
import { formatMessageId, parseMessageId } from './message-id.js';

/**
 * A message of the protocol as plain data, which survives structured clone and JSON: 64-bit numbers are numbers, ids of
 * messages are `<stream>.<seq>`.
 */
export type Plain<T> = T extends PbMessageId
  ? string
  : T extends bigint
    ? number
    : T extends Uint8Array
      ? Uint8Array
      : T extends readonly (infer U)[]
        ? Plain<U>[]
        : T extends object
          ? { [K in keyof T as K extends '$typeName' | '$unknown' ? never : K]: Plain<T[K]> }
          : T;

/** What an application gives: every field may be left out. */
export type Init<T> = T extends PbMessageId
  ? string
  : T extends bigint
    ? number
    : T extends Uint8Array
      ? Uint8Array
      : T extends readonly (infer U)[]
        ? readonly Init<U>[]
        : T extends object
          ? { [K in keyof T as K extends '$typeName' | '$unknown' ? never : K]?: Init<T[K]> | undefined }
          : T;

const MESSAGE_ID = 'tidings.message.v1.MessageId';

/** Takes a decoded message apart. */
export function toPlain<T>(value: T): Plain<T> {
  return plain(value) as Plain<T>;
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(plain);
  if ((value as PbMessage).$typeName === MESSAGE_ID) return formatMessageId(value as PbMessageId);
  const made: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (key !== '$typeName' && key !== '$unknown') made[key] = plain(field);
  }
  return made;
}

/** Builds a message from what an application gave; what is no field of it is passed over. */
export function fromPlain<D extends DescMessage>(schema: D, given: object): MessageShape<D> {
  const made = create(schema) as MessageShape<D> & Record<string, unknown>;
  for (const field of schema.fields) {
    const value = (given as Record<string, unknown>)[field.localName];
    if (value !== undefined && value !== null) {
      (made as Record<string, unknown>)[field.localName] =
        field.fieldKind === 'list' && Array.isArray(value)
          ? value.map((item) => built(field, item))
          : field.fieldKind === 'map'
            ? { ...(value as object) }
            : built(field, value);
    }
  }
  return made;
}

function built(field: DescField, value: unknown): unknown {
  if (field.message) {
    return field.message.typeName === MESSAGE_ID
      ? parseMessageId(value as string)
      : fromPlain(field.message, value as object);
  }
  switch (field.scalar) {
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return BigInt(value as number);
    default:
      return value;
  }
}
