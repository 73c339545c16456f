// What the application read and the server has not recorded yet: one watermark for each sender's stream. They live in memory: a mark that
// a crash takes is made again when the application shows the message again.

/** At most so many streams may have an unrecorded watermark; beyond it the oldest one is dropped. */
const LIMIT = 16_384;
/** At most so many marks wait for their answer at a time; the protocol allows 64. */
const IN_FLIGHT = 32;
const RETRY_MS = 1000;

interface Mark {
  from: string;
  stream: bigint;
  upTo: number;
  /** When it is to be written; undefined while it waits for its answer. */
  due: number | undefined;
}

export class Reads {
  readonly #marks = new Map<string, Mark>();

  /** Everything from `from` in this stream up to `seq` was read. */
  mark(from: string, stream: bigint, seq: number, now: number): void {
    const key = `${stream} ${from}`;
    const mark = this.#marks.get(key);
    if (mark && mark.upTo >= seq) return;
    this.#marks.set(key, { from, stream, upTo: seq, due: now });
    if (this.#marks.size > LIMIT) {
      const [oldest] = this.#marks.keys();
      this.#marks.delete(oldest as string);
    }
  }

  /** The connection is gone: every mark goes out again on the next one. */
  disconnected(): void {
    for (const mark of this.#marks.values()) mark.due = 0;
  }

  /** The server's answer; `again` when it could not record it now. */
  recorded(from: string, stream: bigint, seq: number, again: boolean, now: number): void {
    const key = `${stream} ${from}`;
    const mark = this.#marks.get(key);
    if (!mark) return;
    if (again) mark.due = now + RETRY_MS;
    else if (mark.upTo <= seq) this.#marks.delete(key);
  }

  takeDue(now: number, write: (from: string, stream: bigint, seq: number) => void): void {
    let room = this.#room();
    for (const mark of this.#marks.values()) {
      if (room <= 0) return;
      if (mark.due === undefined || mark.due > now) continue;
      room -= 1;
      mark.due = undefined;
      write(mark.from, mark.stream, mark.upTo);
    }
  }

  /** When `takeDue` has something. With no room for more, the next answer makes it. */
  wakeAt(): number | undefined {
    return this.#room() > 0 ? earliest([...this.#marks.values()].map((mark) => mark.due)) : undefined;
  }

  #room(): number {
    let inFlight = 0;
    for (const mark of this.#marks.values()) if (mark.due === undefined) inFlight += 1;
    return IN_FLIGHT - inFlight;
  }
}

/** The smallest of those that are set. */
export function earliest(times: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined;
  for (const time of times) if (time !== undefined && (first === undefined || time < first)) first = time;
  return first;
}
