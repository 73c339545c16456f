/** Mentions travel as places in UTF-8 bytes, and JavaScript counts in UTF-16 units. */
const encoder = new TextEncoder();

export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** The UTF-16 index of a byte's place; undefined when it is inside of a sign or behind the end. */
export function indexOfByte(text: string, byte: number): number | undefined {
  let bytes = 0;
  let index = 0;
  for (const sign of text) {
    if (bytes === byte) return index;
    bytes += sign.codePointAt(0)! < 0x80 ? 1 : sign.codePointAt(0)! < 0x800 ? 2 : sign.length === 1 ? 3 : 4;
    index += sign.length;
  }
  return bytes === byte ? index : undefined;
}

export function byteOfIndex(text: string, index: number): number {
  return byteLength(text.slice(0, index));
}
