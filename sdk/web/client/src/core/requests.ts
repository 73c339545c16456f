// What the application asked and the server has not answered. A request that meets a lost connection, or a shard without a leader, is
// asked again: it does no harm twice.
import type { Failure } from '../errors.js';
import type { Response } from '../gen/tidings/client/v1/client_pb.js';
import { requestFrame } from './codec.js';
import { nextOf } from './codes.js';
import { earliest } from './reads.js';

/** At most so many wait for their answer at a time; the protocol allows 32. */
const IN_FLIGHT = 16;
/** At most so many may wait in all. */
export const REQUEST_LIMIT = 1024;
const RETRY_MS = 250;

/** How a request ended. */
export type Answer = { ok: true; response: Response['response'] } | { ok: false; failure: Failure };

interface Waiting {
  /** An encoded `Request` without its id. */
  body: Uint8Array;
  /** When it is to be written; undefined while it waits for its answer. */
  due: number | undefined;
}

export class Requests {
  /** By the caller's number, rising. */
  readonly #waiting = new Map<bigint, Waiting>();

  /** Takes a request; the failure when there are too many. */
  ask(id: bigint, body: Uint8Array, now: number): Failure | undefined {
    if (this.#waiting.size >= REQUEST_LIMIT) {
      return { kind: 'full', code: undefined, message: 'too many requests wait for their answers' };
    }
    this.#waiting.set(id, { body, due: now });
    return undefined;
  }

  /** The connection is gone: everything is asked again on the next one. */
  disconnected(): void {
    for (const waiting of this.#waiting.values()) waiting.due = 0;
  }

  /** The server's answer; nothing when it is to be asked again, or nobody waits for it. */
  answered(response: Response, now: number): Answer | undefined {
    const waiting = this.#waiting.get(response.id);
    if (!waiting) return undefined;
    const { code, message, retryAfterMs } = response;
    if (code !== 0 && (retryAfterMs !== undefined || nextOf(code) === 'retry')) {
      waiting.due = now + (retryAfterMs ?? RETRY_MS);
      return undefined;
    }
    this.#waiting.delete(response.id);
    if (code !== 0) return { ok: false, failure: { kind: 'refused', code, message } };
    if (response.response.case === undefined) {
      const failure: Failure = {
        kind: 'unknown-answer',
        code: undefined,
        message: 'the answer is of a kind that is not known here',
      };
      return { ok: false, failure };
    }
    return { ok: true, response: response.response };
  }

  takeDue(now: number, write: (frame: Uint8Array) => void): void {
    let room = this.#room();
    for (const [id, waiting] of this.#waiting) {
      if (room <= 0) return;
      if (waiting.due === undefined || waiting.due > now) continue;
      room -= 1;
      waiting.due = undefined;
      write(requestFrame(id, waiting.body));
    }
  }

  /** When `takeDue` has something. With no room for more, the next answer makes it. */
  wakeAt(): number | undefined {
    return this.#room() > 0 ? earliest([...this.#waiting.values()].map((waiting) => waiting.due)) : undefined;
  }

  /** The client stops: the numbers of everything that will not be answered. */
  takeAll(): bigint[] {
    const ids = [...this.#waiting.keys()];
    this.#waiting.clear();
    return ids;
  }

  #room(): number {
    let inFlight = 0;
    for (const waiting of this.#waiting.values()) if (waiting.due === undefined) inFlight += 1;
    return IN_FLIGHT - inFlight;
  }
}
