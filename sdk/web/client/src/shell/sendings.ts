import type { Outgoing, Result } from '../core/state.js';
import { type Failure, TidingsError } from '../errors.js';
import type { Accepted } from '../model.js';
import { SETTLED_KEPT } from './store.js';

/** Messages in the outbox, and their bytes; beyond it `send` is refused. */
const LIMIT = 10_000;
const LIMIT_BYTES = 16 * 1024 * 1024;

/** What a caller of `send` is told besides the end of it. */
export type Progress = (progress: { queued?: true; id?: string }) => void;

export interface Waiter {
  resolve: (accepted: Accepted) => void;
  reject: (error: TidingsError) => void;
  progress: Progress;
}

/** The messages without an answer, by key: what they are, their ids, and who waits for them. And how the last ones ended. */
export class Sendings {
  readonly #outbox = new Map<string, Outgoing>();
  readonly #ids = new Map<string, string>();
  readonly #waiters = new Map<string, Waiter[]>();
  readonly #settled = new Map<string, Result>();
  #bytes = 0;

  /** Of an earlier life of the page; `stream` is 0 before the first connection. */
  restore(outbox: readonly (Outgoing & { seq: number })[], stream: bigint, settled: readonly [string, Result][]): void {
    for (const [key, result] of settled) this.#settled.set(key, result);
    for (const { seq, ...send } of outbox) {
      this.#admit(send);
      if (stream !== 0n) this.#ids.set(send.key, `${stream}.${seq}`);
    }
  }

  /** Somebody wants a message to be sent. Answers whether it is a new one; one that is known is only waited for, or answered. */
  take(send: Outgoing, waiter: Waiter): boolean {
    const { key } = send;
    const settled = this.#settled.get(key);
    if (settled) {
      waiter.progress({ queued: true, id: settled.id });
      finish(waiter, settled);
      return false;
    }
    const known = this.#outbox.has(key);
    if (!known && (this.#outbox.size >= LIMIT || this.#bytes + bytesOf(send) > LIMIT_BYTES)) {
      waiter.reject(new TidingsError({ kind: 'full', code: undefined, message: 'the outbox is full' }));
      return false;
    }
    this.#waiters.set(key, [...(this.#waiters.get(key) ?? []), waiter]);
    if (known) waiter.progress({ queued: true, id: this.id(key) });
    else this.#admit(send);
    return !known;
  }

  /** Empty until it has one. */
  id(key: string): string {
    return this.#ids.get(key) ?? '';
  }

  /** In order. */
  all(): Outgoing[] {
    return [...this.#outbox.values()];
  }

  numbered(key: string, id: string): void {
    if (!this.#outbox.has(key)) return;
    this.#ids.set(key, id);
    for (const { progress } of this.#waiters.get(key) ?? []) progress({ id });
  }

  /** It is durable. */
  queued(key: string): void {
    for (const { progress } of this.#waiters.get(key) ?? []) progress({ queued: true });
  }

  /** It ended; `stays` in the outbox of the store when it does not end with this life of the page. */
  settle(send: Outgoing, result: Result, stays: boolean): void {
    const { key } = send;
    if (this.#outbox.delete(key)) this.#bytes -= bytesOf(send);
    this.#ids.delete(key);
    if (!stays) {
      this.#settled.set(key, result);
      const [oldest] = this.#settled.keys();
      if (this.#settled.size > SETTLED_KEPT && oldest !== undefined) this.#settled.delete(oldest);
    }
    for (const waiter of this.#waiters.get(key) ?? []) finish(waiter, result);
    this.#waiters.delete(key);
  }

  /** The client stops. */
  clear(failure: Failure): void {
    for (const waiter of [...this.#waiters.values()].flat()) waiter.reject(new TidingsError(failure));
    for (const map of [this.#waiters, this.#outbox, this.#ids, this.#settled]) map.clear();
    this.#bytes = 0;
  }

  #admit(send: Outgoing): void {
    this.#outbox.set(send.key, send);
    this.#bytes += bytesOf(send);
  }
}

function finish({ resolve, reject }: Waiter, result: Result): void {
  if (result.ok) resolve({ id: result.id, sentAtMs: result.sentAtMs, durability: result.durability });
  else reject(new TidingsError(result.failure));
}

function bytesOf(send: Outgoing): number {
  return send.content.length + send.change.length;
}
