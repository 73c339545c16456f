// Groups of whose receipts the application wants to be told: asked once by the application, and kept up across leases and connections by the client.
import type { Response } from '../gen/tidings/client/v1/client_pb.js';
import { encodeFrame } from './codec.js';
import { nextOf } from './codes.js';
import { earliest } from './reads.js';
import { OWN_REQUEST } from './watching.js';

/** Groups that are watched at a time; one more takes the place of the one that was asked for longest ago. */
export const RECEIPTS_LIMIT = 64;
/** Requests of this kind that are unanswered at a time. */
const IN_FLIGHT = 8;
const RETRY_MS = 1000;

/** A request of the application that is about receipts: of which group, or not any more. */
export interface ReceiptsAsked {
  group: string;
  off: boolean;
}

interface Watched {
  readonly group: string;
  /** The application's request that named it last. */
  readonly asked: bigint;
  isAnswered: boolean;
  /** When it is to be named again; undefined while an answer is awaited. */
  due: number | undefined;
}

/** A place is for one group, and gives the number of its requests. */
export class WatchedReceipts {
  readonly #places: (Watched | undefined)[] = [];

  /** The application asks for a group, or not any more. */
  asked(id: bigint, { group, off }: ReceiptsAsked): void {
    const known = this.#places.findIndex((watched) => watched?.group === group);
    if (off) {
      if (known >= 0) this.#places[known] = undefined;
      return;
    }
    this.#places[known >= 0 ? known : this.#free()] = { group, asked: id, isAnswered: false, due: undefined };
  }

  /** An answer to the application. */
  answered(id: bigint, answer: Response['response'] | undefined, now: number): void {
    const place = this.#places.findIndex((watched) => watched?.asked === id);
    const watched = this.#places[place];
    if (!watched) return;
    if (answer?.case === 'groupReceiptsWatched') {
      watched.isAnswered = true;
      watched.due = now + answer.value.leaseMs / 2;
    } else {
      this.#places[place] = undefined;
    }
  }

  /** Whether an answer is to a request of these. */
  isOwn(id: bigint): boolean {
    return id < OWN_REQUEST && id >= OWN_REQUEST - BigInt(RECEIPTS_LIMIT);
  }

  /** The answer to an own request. */
  prolonged(response: Response, now: number): void {
    const place = Number(OWN_REQUEST - 1n - response.id);
    const watched = this.#places[place];
    // An answer that is late, of a group that had this place before, does no harm: it is named again soon.
    if (!watched?.isAnswered) return;
    const { code, retryAfterMs } = response;
    if (response.response.case === 'groupReceiptsWatched') watched.due = now + response.response.value.leaseMs / 2;
    // No member any more, for example.
    else if (code !== 0 && retryAfterMs === undefined && nextOf(code) !== 'retry') this.#places[place] = undefined;
    else watched.due = now + (retryAfterMs ?? RETRY_MS);
  }

  /** The connection is gone: the groups are named again on the next one. */
  disconnected(): void {
    for (const watched of this.#ours()) watched.due = 0;
  }

  takeDue(now: number, write: (frame: Uint8Array) => void): void {
    let inFlight = this.#inFlight();
    for (const [place, watched] of this.#places.entries()) {
      if (inFlight >= IN_FLIGHT) return;
      if (!watched?.isAnswered || watched.due === undefined || watched.due > now) continue;
      inFlight += 1;
      watched.due = undefined;
      const request = { case: 'watchGroupReceipts' as const, value: { group: watched.group, off: false } };
      write(encodeFrame({ case: 'request', value: { id: OWN_REQUEST - 1n - BigInt(place), request } }));
    }
  }

  wakeAt(): number | undefined {
    return this.#inFlight() < IN_FLIGHT ? earliest(this.#places.map((watched) => watched?.due)) : undefined;
  }

  #free(): number {
    const free = this.#places.indexOf(undefined);
    if (free >= 0 || this.#places.length < RECEIPTS_LIMIT) return free >= 0 ? free : this.#places.length;
    let oldest = 0;
    for (const [place, watched] of this.#places.entries())
      if (watched && watched.asked < (this.#places[oldest]?.asked ?? watched.asked)) oldest = place;
    return oldest;
  }

  /** Those whose requests are this client's to repeat: an unanswered one of the application's is repeated anyhow. */
  #ours(): Watched[] {
    return this.#places.filter((watched): watched is Watched => watched?.isAnswered === true);
  }

  #inFlight(): number {
    return this.#ours().filter((watched) => watched.due === undefined).length;
  }
}
