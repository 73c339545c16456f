// Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding), for plain objects, by the tables that
// scripts/protoc-gen-tidings.mjs makes of the .proto files. Tests hold it against protobuf-es.

import { parseMessageId } from './message-id.js';

enum Wire {
  Varint = 0,
  Fixed64 = 1,
  Delimited = 2,
  Fixed32 = 5,
}

/** No message of ours nests deeper, and no hostile one may exhaust the stack. */
const DEEPEST = 32;
const TWO_32 = 2 ** 32;
const ALL = (1n << 64n) - 1n;

/**
 * Of a field: `u` `i` `s` 32 bits (unsigned, signed, zigzag), `n` `d` 64 bits (unsigned, signed) as a number, `L` `Z` (unsigned, zigzag) as a bigint;
 * `f` double, `b` bool, `t` text, `y` bytes, `m` message, `I` id of a message, `M` `O` map of text, of messages.
 */
interface Field {
  no: number;
  letter: string;
  name: string;
  many: boolean;
  /** Unset is another thing than its zero. */
  optional: boolean;
  oneof: string | undefined;
  schema: Schema<object> | undefined;
}

export interface Schema<T> {
  readonly fields: () => readonly Field[];
  readonly byNumber: () => ReadonlyMap<number, Field>;
  /** Only for types. */
  readonly of?: T;
}

type Loose = Record<string, unknown>;

/** A table: `<number><letter>[*?]<name>[@<oneof>]` for each field, and the schemas of its messages in order. Read when it is first used. */
export function define<T>(table: string, references: () => readonly Schema<unknown>[]): Schema<T> {
  let fields: Field[] | undefined;
  let byNumber: Map<number, Field> | undefined;
  const read = () => {
    const schemas = [...references()];
    return Array.from(
      table.matchAll(/(\d+)([a-zA-Z])([*?]?)(\w+)@?(\w*)/g),
      ([, no, letter = '', many, name = '', oneof]) => ({
        ...{ no: Number(no), letter, name, many: many === '*', optional: many === '?', oneof: oneof || undefined },
        schema: letter === 'm' || letter === 'O' ? (schemas.shift() as Schema<object>) : undefined,
      }),
    );
  };
  const schema: Schema<T> = {
    fields: () => (fields ??= read()),
    byNumber: () => (byNumber ??= new Map(schema.fields().map((field) => [field.no, field]))),
  };
  return schema;
}

/** A message with the zero of each field that is not given. */
export function create<T>(schema: Schema<T>, init: Partial<T> = {}): T {
  const made: Loose = {};
  for (const { name, letter, many, optional, oneof } of schema.fields()) {
    if (oneof) made[oneof] = { case: undefined };
    else if (many) made[name] = [];
    else if (letter === 'M' || letter === 'O') made[name] = {};
    else if (!optional && letter !== 'm' && letter !== 'I') made[name] = zeroOf(letter);
  }
  return Object.assign(made, init) as T;
}

function zeroOf(letter: string): unknown {
  switch (letter) {
    case 't':
      return '';
    case 'y':
      return new Uint8Array();
    case 'b':
      return false;
    case 'L':
    case 'Z':
      return 0n;
    default:
      return 0;
  }
}

/** Fields that are left out, undefined or null are not written. @throws RangeError where a value does not fit its field. */
export function encode<T>(schema: Schema<T>, message: object): Uint8Array {
  const writer = new Writer();
  write(writer, schema, message as Loose);
  return writer.finish();
}

/** @throws RangeError or TypeError when it is none. Fields that are not known are passed over. */
export function decode<T>(schema: Schema<T>, bytes: Uint8Array): T {
  return read(new Reader(bytes), schema, 0);
}

function write(writer: Writer, schema: Schema<unknown>, message: Loose): void {
  for (const field of schema.fields()) {
    const { no, letter, name, many, optional, oneof, schema: inner } = field;
    if (oneof) {
      const chosen = message[oneof] as { case?: string; value?: unknown } | undefined;
      if (chosen?.case === name) writeOne(writer, field, chosen.value);
      continue;
    }
    const value = message[name];
    if (value === undefined || value === null) continue;
    if (letter === 'M' || letter === 'O') {
      for (const [key, item] of Object.entries(value)) {
        const entry = new Writer().text(1, key);
        if (inner) writeOne(entry, { ...field, no: 2 }, item);
        else entry.text(2, String(item));
        writer.delimited(no, entry.finish());
      }
    } else if (many && letter !== 'm' && letter !== 't' && letter !== 'y' && letter !== 'I') {
      if ((value as unknown[]).length === 0) continue;
      const packed = new Writer();
      for (const item of value as unknown[]) packed.number(letter, item);
      writer.delimited(no, packed.finish());
    } else if (many) {
      for (const item of value as unknown[]) writeOne(writer, field, item);
    } else if (optional || letter === 'm' || !isZero(value)) {
      writeOne(writer, field, value);
    }
  }
}

function isZero(value: unknown): boolean {
  return !value || (value as { length?: number }).length === 0;
}

function writeOne(writer: Writer, { no, letter, schema }: Field, value: unknown): void {
  if (schema) {
    const inner = new Writer();
    write(inner, schema, value as Loose);
    writer.delimited(no, inner.finish());
  } else if (letter === 't') {
    writer.text(no, value as string);
  } else if (letter === 'y') {
    writer.delimited(no, value as Uint8Array);
  } else if (letter === 'I') {
    const { stream, seq } = parseMessageId(value as string);
    const inner = new Writer();
    if (stream > 0n) inner.tag(1, Wire.Varint).big(stream);
    if (seq > 0n) inner.tag(2, Wire.Varint).big(seq);
    writer.delimited(no, inner.finish());
  } else {
    writer.tag(no, wireOf(letter)).number(letter, value);
  }
}

function read<T>(reader: Reader, schema: Schema<T>, depth: number): T {
  if (depth > DEEPEST) throw new RangeError('it nests too deeply');
  const message = create(schema) as Loose;
  while (!reader.isAtEnd()) {
    const tag = reader.varint();
    const [no, wire] = [Math.floor(tag / 8), tag % 8];
    const field = schema.byNumber().get(no);
    const packed = field?.many && wire === Wire.Delimited && 'uisndbLZ'.includes(field.letter);
    if (!field || (!packed && wire !== wireOf(field.letter))) {
      reader.skip(wire);
    } else if (packed) {
      const inner = reader.part();
      while (!inner.isAtEnd()) (message[field.name] as unknown[]).push(inner.number(field.letter));
    } else if (field.letter === 'M' || field.letter === 'O') {
      readEntry(reader.part(), message[field.name] as Loose, field, depth);
    } else {
      const value = readOne(reader, field, depth);
      if (field.oneof) message[field.oneof] = { case: field.name, value };
      else if (field.many) (message[field.name] as unknown[]).push(value);
      else message[field.name] = value;
    }
  }
  return message as T;
}

function wireOf(letter: string): Wire {
  if (letter === 'f') return Wire.Fixed64;
  return 'tymIMO'.includes(letter) ? Wire.Delimited : Wire.Varint;
}

function readOne(reader: Reader, { letter, schema }: Field, depth: number): unknown {
  if (schema) return read(reader.part(), schema, depth + 1);
  if (letter === 't') return reader.text();
  if (letter === 'y') return reader.bytes().slice();
  if (letter !== 'I') return reader.number(letter);
  const inner = reader.part();
  const numbers = [0n, 0n];
  while (!inner.isAtEnd()) {
    const tag = inner.varint();
    if (tag === 8 || tag === 16) numbers[tag / 8 - 1] = inner.big();
    else inner.skip(tag % 8);
  }
  return numbers.join('.');
}

function readEntry(reader: Reader, into: Loose, { schema }: Field, depth: number): void {
  let key = '';
  let value: unknown = schema ? create(schema) : '';
  while (!reader.isAtEnd()) {
    const tag = reader.varint();
    if (tag === 10) key = reader.text();
    else if (tag === 18) value = schema ? read(reader.part(), schema, depth + 1) : reader.text();
    else reader.skip(tag % 8);
  }
  // Not by assignment, which `__proto__` would make something else of.
  Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Appends fields; what is finished is one piece. */
export class Writer {
  #bytes = new Uint8Array(64);
  #length = 0;

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  tag(no: number, wire: Wire): this {
    return this.varint(no * 8 + wire);
  }

  varint(value: number): this {
    let rest = value;
    while (rest > 127) {
      this.#push((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    return this.#push(rest);
  }

  big(value: bigint): this {
    if (value < 0n || value > ALL) throw new RangeError(`${value} does not fit 64 bits`);
    let rest = value;
    while (rest > 127n) {
      this.#push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    return this.#push(Number(rest));
  }

  number(letter: string, value: unknown): this {
    if (letter === 'L') return this.big(value as bigint);
    if (letter === 'Z') return this.zigzag(value as bigint);
    if (letter === 'f') return this.double(value as number);
    const number = Number(value);
    const [from, to] = RANGES[letter] as [number, number];
    if (!Number.isInteger(number) || number < from || number > to)
      throw new RangeError(`${value} does not fit the field`);
    if (letter === 's') return this.varint(number < 0 ? -2 * number - 1 : 2 * number);
    return number < 0 ? this.big(BigInt.asUintN(64, BigInt(number))) : this.varint(number);
  }

  zigzag(value: bigint): this {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} does not fit 64 bits`);
    return this.big(value < 0n ? -2n * value - 1n : 2n * value);
  }

  double(value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    return this.raw(bytes);
  }

  text(no: number, text: string): this {
    return this.delimited(no, ENCODER.encode(text));
  }

  delimited(no: number, bytes: Uint8Array): this {
    this.tag(no, Wire.Delimited).varint(bytes.length);
    return this.raw(bytes);
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  #push(byte: number): this {
    this.#reserve(1);
    this.#bytes[this.#length] = byte;
    this.#length += 1;
    return this;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + more));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

const INT32: [number, number] = [-(2 ** 31), 2 ** 31 - 1];
const RANGES: Record<string, [number, number]> = {
  u: [0, TWO_32 - 1],
  i: INT32,
  s: INT32,
  n: [0, Number.MAX_SAFE_INTEGER],
  d: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  b: [0, 1],
};
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder('utf-8', { fatal: true });

class Reader {
  #at = 0;

  constructor(private readonly all: Uint8Array) {}

  isAtEnd(): boolean {
    return this.#at >= this.all.length;
  }

  /** As a number: exact up to 2^53. */
  varint(): number {
    let [value, factor] = [0, 1];
    for (let count = 0; count < 10; count += 1) {
      const byte = this.#next();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
    throw new RangeError('a number is too long');
  }

  big(): bigint {
    let value = 0n;
    for (let count = 0n; count < 10n; count += 1n) {
      const byte = this.#next();
      value |= BigInt(byte & 127) << (7n * count);
      if (byte < 128) return value & ALL;
    }
    throw new RangeError('a number is too long');
  }

  number(letter: string): number | bigint | boolean {
    switch (letter) {
      case 'L':
        return this.big();
      case 'Z': {
        const zigzag = this.big();
        return zigzag % 2n === 1n ? -(zigzag + 1n) / 2n : zigzag / 2n;
      }
      case 'f':
        return this.double();
      case 'b':
        return this.big() !== 0n;
      case 'u':
        return Number(BigInt.asUintN(32, this.big()));
      case 'i':
        return Number(BigInt.asIntN(32, this.big()));
      case 's': {
        const zigzag = Number(BigInt.asUintN(32, this.big()));
        return zigzag % 2 === 1 ? -(zigzag + 1) / 2 : zigzag / 2;
      }
      case 'd':
        return Number(BigInt.asIntN(64, this.big()));
      default:
        return Number(this.big());
    }
  }

  double(): number {
    const from = this.#at;
    this.skip(Wire.Fixed64);
    return new DataView(this.all.buffer, this.all.byteOffset + from, 8).getFloat64(0, true);
  }

  bytes(): Uint8Array {
    const length = this.varint();
    const from = this.#at;
    if (length > this.all.length - from) throw new RangeError('it ends early');
    this.#at += length;
    return this.all.subarray(from, this.#at);
  }

  text(): string {
    return DECODER.decode(this.bytes());
  }

  part(): Reader {
    return new Reader(this.bytes());
  }

  skip(wire: number): void {
    if (wire === Wire.Varint) this.varint();
    else if (wire === Wire.Delimited) this.bytes();
    else if (wire === Wire.Fixed64 || wire === Wire.Fixed32) {
      this.#at += wire === Wire.Fixed64 ? 8 : 4;
      if (this.#at > this.all.length) throw new RangeError('it ends early');
    } else throw new RangeError(`there is no wire type ${wire}`);
  }

  #next(): number {
    const byte = this.all[this.#at];
    if (byte === undefined) throw new RangeError('it ends early');
    this.#at += 1;
    return byte;
  }
}
