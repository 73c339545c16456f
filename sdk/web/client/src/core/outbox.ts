// What the application sent and the server has not answered: numbered without gaps, transmitted in order within the send window,
// and sent again with the same number until there is an answer (promises 2 and 3).
//
// The window counts from the oldest unanswered number, not the unanswered ones: the recipient's mailbox remembers only the numbers
// shortly below the highest (RFC 4303, 3.4.3), and a straggler must not fall out of that memory.
import { sendFrame } from './codec.js';
import type { Outgoing, StoredSend } from './state.js';

const FIRST_RETRY_MS = 10;
const LAST_RETRY_MS = 2000;

type EntryState =
  /** Not written to this connection yet. */
  | { is: 'queued' }
  /** Written to this connection at that time, not answered. */
  | { is: 'in-flight'; at: number }
  /** To be sent again, not before a time and not before what stands in front of it. */
  | { is: 'waiting'; due: number; behind: Predecessor | undefined };

/** An earlier message to the same recipient, and how often it had been transmitted when we were refused because of it. */
interface Predecessor {
  seq: number;
  attempts: number;
}

export interface Entry {
  readonly send: Outgoing;
  /** It comes from an earlier life of the page. */
  restored: boolean;
  /** Whether the server may have it: it was written to a connection, or comes from an earlier life of the page. */
  maybeTransmitted: boolean;
  state: EntryState;
  /** How often it was written to a connection by this page. */
  attempts: number;
}

export class Outbox {
  /** By number, rising. */
  readonly #entries = new Map<number, Entry>();
  #nextSeq: number;
  /** The lowest number not looked at in this connection. */
  #nextFresh: number;
  #waiting = new Set<number>();
  /** Unanswered numbers by recipient, rising. Without transient ones, which no mailbox remembers. */
  readonly #byRecipient = new Map<string, number[]>();

  /** Of an earlier life of the page; `sends` rise by number and lie below `nextSeq`. */
  constructor(sends: readonly StoredSend[], nextSeq: number) {
    this.#nextSeq = Math.max(nextSeq, 1);
    for (const { seq, ...send } of sends) {
      this.#insert(seq, { send, restored: true, maybeTransmitted: true, state: { is: 'queued' }, attempts: 0 });
      this.#nextSeq = Math.max(this.#nextSeq, seq + 1);
    }
    this.#nextFresh = this.#base();
  }

  /** The number that the next message gets. */
  nextSeq(): number {
    return this.#nextSeq;
  }

  size(): number {
    return this.#entries.size;
  }

  /** The unanswered messages in order. */
  entries(): [number, Entry][] {
    return [...this.#entries];
  }

  get(seq: number): Entry | undefined {
    return this.#entries.get(seq);
  }

  /** Takes a message; answers its number. */
  push(send: Outgoing, restored = false): number {
    const seq = this.#nextSeq;
    this.#nextSeq += 1;
    this.#insert(seq, { send, restored, maybeTransmitted: false, state: { is: 'queued' }, attempts: 0 });
    return seq;
  }

  /** Takes all unanswered messages out; the next number is 1. */
  takeAll(): [number, Entry][] {
    const taken = this.entries();
    this.#entries.clear();
    this.#byRecipient.clear();
    this.#waiting.clear();
    this.#nextSeq = 1;
    this.#nextFresh = 1;
    return taken;
  }

  /** The connection is gone: everything unanswered goes out again, in order, on the next one. */
  disconnected(): void {
    for (const entry of this.#entries.values()) entry.state = { is: 'queued' };
    this.#waiting.clear();
    this.#nextFresh = this.#base();
  }

  /** The final answer came. Nothing when the number is not waiting for one. */
  answered(seq: number): Entry | undefined {
    const entry = this.#entries.get(seq);
    if (!entry || (entry.state.is === 'queued' && !entry.maybeTransmitted)) return undefined;
    return this.#remove(seq);
  }

  /** Takes a message back that the server cannot have; nothing when it may. */
  withdraw(key: string): [number, Entry] | undefined {
    for (const [seq, entry] of this.#entries) {
      if (entry.send.key === key && !entry.maybeTransmitted) {
        this.#remove(seq);
        return [seq, entry];
      }
    }
    return undefined;
  }

  /** The server asks to try again, after `retryAfter` or a time of our own that grows. */
  retry(seq: number, now: number, retryAfter: number | undefined, outOfOrder: boolean): void {
    const entry = this.#entries.get(seq);
    if (entry?.state.is !== 'in-flight') return;
    const earlier = this.#unansweredBefore(seq);
    const predecessor = earlier === undefined ? undefined : this.#entries.get(earlier);
    const behind =
      outOfOrder && predecessor && earlier !== undefined ? { seq: earlier, attempts: predecessor.attempts } : undefined;
    const own = Math.min(FIRST_RETRY_MS * 2 ** Math.min(Math.max(entry.attempts - 1, 0), 8), LAST_RETRY_MS);
    entry.state = { is: 'waiting', due: now + (behind ? 0 : (retryAfter ?? own)), behind };
    this.#waiting.add(seq);
  }

  /**
   * Writes what may go now, in order, at most `window` numbers above the oldest unanswered one. Answers those whose frame would
   * exceed `maxFrameBytes`, and which are not written.
   */
  transmit(now: number, window: number, maxFrameBytes: number, write: (frame: Uint8Array) => void): number[] {
    const tooLarge: number[] = [];
    for (const seq of [...this.#waiting].sort((a, b) => a - b)) {
      if (this.#mayGoAgain(seq, now)) this.#transmitOne(seq, now, maxFrameBytes, write, tooLarge);
    }
    const limit = Math.min(this.#nextSeq, this.#base() + window);
    for (; this.#nextFresh < limit; this.#nextFresh += 1) {
      const seq = this.#nextFresh;
      const entry = this.#entries.get(seq);
      if (!entry) continue;
      const earlier = this.#unansweredBefore(seq);
      if (earlier !== undefined && this.#waiting.has(earlier)) {
        // It would be refused as out of order: it follows when the earlier one goes.
        entry.state = { is: 'waiting', due: now, behind: undefined };
        this.#waiting.add(seq);
      } else {
        this.#transmitOne(seq, now, maxFrameBytes, write, tooLarge);
      }
    }
    return tooLarge;
  }

  /** When `transmit` has more to do without a further answer. */
  wakeAt(): number | undefined {
    let earliest: number | undefined;
    for (const seq of this.#waiting) {
      const state = this.#entries.get(seq)?.state;
      if (state?.is !== 'waiting' || state.behind) continue;
      const earlier = this.#unansweredBefore(seq);
      if (earlier !== undefined && this.#waiting.has(earlier)) continue;
      earliest = Math.min(earliest ?? state.due, state.due);
    }
    return earliest;
  }

  /** Since when the oldest unanswered message has been waiting for its answer. */
  oldestInFlightSince(): number | undefined {
    const [front] = this.#entries.values();
    return front?.state.is === 'in-flight' ? front.state.at : undefined;
  }

  #transmitOne(
    seq: number,
    now: number,
    maxFrameBytes: number,
    write: (frame: Uint8Array) => void,
    tooLarge: number[],
  ) {
    const entry = this.#entries.get(seq);
    if (!entry) return;
    entry.state = { is: 'in-flight', at: now };
    entry.attempts += 1;
    this.#waiting.delete(seq);
    const frame = sendFrame(seq, this.#unansweredBefore(seq) ?? 0, entry.send);
    if (frame.length > maxFrameBytes) {
      tooLarge.push(seq);
    } else {
      entry.maybeTransmitted = true;
      write(frame);
    }
  }

  #mayGoAgain(seq: number, now: number): boolean {
    const state = this.#entries.get(seq)?.state;
    if (state?.is !== 'waiting' || state.due > now) return false;
    const earlier = this.#unansweredBefore(seq);
    if (earlier !== undefined && this.#waiting.has(earlier)) return false;
    const { behind } = state;
    return !behind || earlier !== behind.seq || (this.#entries.get(behind.seq)?.attempts ?? 0) > behind.attempts;
  }

  #unansweredBefore(seq: number): number | undefined {
    const entry = this.#entries.get(seq);
    const numbers = entry && this.#byRecipient.get(recipient(entry.send));
    return numbers?.[lowerBound(numbers, seq) - 1];
  }

  #insert(seq: number, entry: Entry): void {
    this.#entries.set(seq, entry);
    if (isTransient(entry.send)) return;
    const numbers = this.#byRecipient.get(recipient(entry.send));
    if (numbers) numbers.push(seq);
    else this.#byRecipient.set(recipient(entry.send), [seq]);
  }

  #remove(seq: number): Entry | undefined {
    const entry = this.#entries.get(seq);
    if (!entry) return undefined;
    this.#entries.delete(seq);
    this.#waiting.delete(seq);
    const to = recipient(entry.send);
    const numbers = this.#byRecipient.get(to);
    if (numbers) {
      const index = lowerBound(numbers, seq);
      if (numbers[index] === seq) numbers.splice(index, 1);
      if (numbers.length === 0) this.#byRecipient.delete(to);
    }
    this.#nextFresh = Math.max(this.#nextFresh, this.#base());
    return entry;
  }

  /** The lowest unanswered number. */
  #base(): number {
    const [first] = this.#entries.keys();
    return first ?? this.#nextSeq;
  }
}

/** Only for devices that are online now. */
export function isTransient(send: Outgoing): boolean {
  return send.ttlMs === 0;
}

function recipient(send: Outgoing): string {
  return send.group ? `g${send.group}` : `u${send.to}`;
}

/** The first index whose number is not below. */
function lowerBound(numbers: readonly number[], below: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) < below) low = middle + 1;
    else high = middle;
  }
  return low;
}
