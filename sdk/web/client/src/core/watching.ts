// Whom the application watches: asked once by the application, and kept up across leases and connections by the client.
import type { Response } from '../gen/tidings/client/v1/client_pb.js';
import { encodeFrame } from './codec.js';

/** Of the requests that nobody waits for; callers count from 1. */
export const OWN_REQUEST = (1n << 64n) - 1n;
const RETRY_MS = 1000;

export class Watching {
  #users: readonly string[] = [];
  /** The application's request that named them, until it is answered. */
  #asked: bigint | undefined;
  /** When they are to be named again; undefined while an answer is awaited, and when nobody is watched. */
  #due: number | undefined;

  /** The application asks for these users. */
  asked(id: bigint, users: readonly string[]): void {
    this.#users = users;
    this.#asked = id;
    this.#due = undefined;
  }

  /** An answer to the application. */
  answered(id: bigint, answer: Response['response'] | undefined, now: number): void {
    if (answer?.case === 'presenceWatched') {
      if (this.#asked === id) {
        this.#asked = undefined;
        this.#prolong(answer.value.leaseMs, now);
      } else if (this.#asked === undefined) {
        // Of an earlier request, which the server took up later.
        this.#dueAt(now);
      }
    } else if (answer === undefined && this.#asked === id) {
      this.#users = [];
      this.#asked = undefined;
      this.#due = undefined;
    }
  }

  /** The answer to an own request. */
  prolonged(response: Response, now: number): void {
    if (response.response.case === 'presenceWatched') this.#prolong(response.response.value.leaseMs, now);
    else this.#dueAt(now + (response.retryAfterMs ?? RETRY_MS));
  }

  /** The connection is gone: whom it watched is named again on the next one. */
  disconnected(): void {
    this.#dueAt(0);
  }

  takeDue(now: number, write: (frame: Uint8Array) => void): void {
    if (this.#due === undefined || this.#due > now) return;
    this.#due = undefined;
    const request = { case: 'watchPresence' as const, value: { users: [...this.#users] } };
    write(encodeFrame({ case: 'request', value: { id: OWN_REQUEST, request } }));
  }

  wakeAt(): number | undefined {
    return this.#due;
  }

  /** At half of the lease: there is time to try again. */
  #prolong(leaseMs: number, now: number): void {
    this.#dueAt(now + leaseMs / 2);
  }

  #dueAt(at: number): void {
    this.#due = this.#users.length > 0 && this.#asked === undefined ? at : undefined;
  }
}
