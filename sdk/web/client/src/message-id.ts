const LARGEST = (1n << 64n) - 1n;

/** As text: `<stream>.<seq>`. */
export function formatMessageId(id: { stream: bigint; seq: bigint | number }): string {
  return `${id.stream}.${id.seq}`;
}

/** Reads `<stream>.<seq>`. @throws RangeError when it is something else. */
export function parseMessageId(text: string): { stream: bigint; seq: bigint } {
  const parts = /^(\d{1,20})\.(\d{1,20})$/.exec(text);
  const [stream, seq] = [BigInt(parts?.[1] ?? -1), BigInt(parts?.[2] ?? -1)];
  if (!parts || stream > LARGEST || seq > LARGEST) throw new RangeError(`"${text}" is no message id`);
  return { stream, seq };
}

/** Whether a watermark (`statusChanged` with `upTo`) speaks for a message: the same stream, and a number up to its own. */
export function isUpTo(id: string, watermark: string): boolean {
  const [one, mark] = [parseMessageId(id), parseMessageId(watermark)];
  return one.stream === mark.stream && one.seq <= mark.seq;
}
