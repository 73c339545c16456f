#!/usr/bin/env node
// A plugin of buf: from the .proto files the client's types, with their comments, enums, and the tables that src/wire.ts encodes and decodes by.
// protobuf-es has the same in general, at 22 kB gzipped of descriptors and runtime (docs/decisions/0036).
//
// Fields are plain data: ids of messages are `<stream>.<seq>`, and 64-bit numbers are numbers where they count or tell the time. What may use all 64
// bits (streams, epochs, ids of requests, whatever is sint64) is bigint.
import { ScalarType } from '@bufbuild/protobuf';
import { createEcmaScriptPlugin, getComments, runNodeJs } from '@bufbuild/protoplugin';

const MESSAGE_ID = 'tidings.message.v1.MessageId';
const ALL_BITS = new Set(['stream', 'mailbox_epoch', 'id']);
/** The letters of wire.ts. */
const LETTERS = {
  [ScalarType.UINT32]: 'u',
  [ScalarType.INT32]: 'i',
  [ScalarType.SINT32]: 's',
  [ScalarType.SINT64]: 'Z',
  [ScalarType.DOUBLE]: 'f',
  [ScalarType.UINT64]: 'n',
  [ScalarType.INT64]: 'd',
  [ScalarType.BOOL]: 'b',
  [ScalarType.STRING]: 't',
  [ScalarType.BYTES]: 'y',
};
const TYPES = {
  u: 'number',
  i: 'number',
  s: 'number',
  n: 'number',
  d: 'number',
  L: 'bigint',
  Z: 'bigint',
  f: 'number',
  b: 'boolean',
  t: 'string',
  y: 'Uint8Array',
};

runNodeJs(createEcmaScriptPlugin({ name: 'protoc-gen-tidings', version: 'v1', generateTs }));

function generateTs(schema) {
  for (const file of schema.files) {
    const f = schema.generateFile(`${file.name}_pb.ts`);
    for (const type of file.enums) printEnum(f, type);
    for (const message of file.messages) printMessage(f, message);
  }
}

/** Nested types are named with their parents', as protobuf-es does. */
function nameOf(type) {
  return type.parent ? `${nameOf(type.parent)}_${type.name}` : type.name;
}

function imported(f, type, name = nameOf(type), typeOnly = true) {
  return f.import(name, `./${type.file.name}_pb.js`, typeOnly);
}

function comment(f, type, indentation = '') {
  const { leading } = getComments(type);
  if (leading) f.print(f.jsDoc(leading.trim().replace(/\n\s*/g, '\n '), indentation));
}

function printEnum(f, type) {
  comment(f, type);
  f.print('export enum ', nameOf(type), ' {');
  for (const value of type.values) {
    comment(f, value, '  ');
    f.print('  ', value.localName, ' = ', value.number, ',');
  }
  f.print('}');
  f.print();
}

function printMessage(f, message) {
  for (const type of message.nestedEnums) printEnum(f, type);
  for (const type of message.nestedMessages)
    if (!type.fields.some((field) => field.proto.mapEntry)) printMessage(f, type);
  if (message.typeName === MESSAGE_ID) return;
  const name = nameOf(message);
  comment(f, message);
  f.print('export interface ', name, ' {');
  for (const member of message.members) {
    if (member.kind === 'oneof') {
      const cases = member.fields.map((field) => [
        '{ case: ',
        f.string(field.localName),
        '; value: ',
        ...typeOf(f, field),
        ' }',
      ]);
      f.print(
        '  ',
        member.localName,
        ': ',
        ...cases.flatMap((one) => [...one, ' | ']),
        '{ case: undefined; value?: undefined };',
      );
    } else {
      comment(f, member, '  ');
      const optional = member.fieldKind === 'message' || member.proto.proto3Optional;
      f.print('  ', member.localName, optional ? '?: ' : ': ', ...typeOf(f, member), optional ? ' | undefined;' : ';');
    }
  }
  f.print('}');
  const table = message.fields.map(row).join(' ');
  const references = message.fields.filter((field) => 'mO'.includes(letterOf(field))).map((field) => field.message);
  const define = f.import('define', '../wire.js');
  const schemas = references.flatMap((type) => [imported(f, type, `${nameOf(type)}Schema`, false), ', ']).slice(0, -1);
  f.print(
    'export const ',
    name,
    'Schema = /*#__PURE__*/ ',
    define,
    '<',
    name,
    '>(',
    f.string(table),
    ', () => [',
    ...schemas,
    ']);',
  );
  f.print();
}

function letterOf(field) {
  if (field.fieldKind === 'map') {
    if (field.mapKey !== ScalarType.STRING) throw new Error(`${field}: only maps by text are known`);
    if (field.mapKind === 'message') return 'O';
    if (field.mapKind !== 'scalar' || field.scalar !== ScalarType.STRING)
      throw new Error(`${field}: only maps of text and of messages are known`);
    return 'M';
  }
  if (field.enum) return 'i';
  if (field.message) return field.message.typeName === MESSAGE_ID ? 'I' : 'm';
  const letter = LETTERS[field.scalar];
  if (!letter || (letter === 'f' && field.fieldKind === 'list'))
    throw new Error(`${field}: a type that is not known here`);
  return (letter === 'n' || letter === 'd') && ALL_BITS.has(field.name) ? 'L' : letter;
}

function row(field) {
  const many = field.fieldKind === 'list' ? '*' : field.proto.proto3Optional ? '?' : '';
  const oneof = field.oneof && !field.proto.proto3Optional ? `@${field.oneof.localName}` : '';
  return `${field.number}${letterOf(field)}${many}${field.localName}${oneof}`;
}

function typeOf(f, field) {
  const letter = letterOf(field);
  if (letter === 'M') return ['Record<string, string>'];
  const type = field.enum ?? field.message;
  if (letter === 'O') return ['Record<string, ', imported(f, type), '>'];
  const one = letter === 'I' ? ['string'] : type ? [imported(f, type)] : [TYPES[letter]];
  return field.fieldKind === 'list' ? [...one, '[]'] : one;
}
