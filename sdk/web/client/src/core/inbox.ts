// Where the device stands in its mailbox: what came, what the application has dealt with, and whether something is missing
// between (promises 2 and 4).

/** What to do with a delivery: hand it on, pass over it, or connect again with the own cursor because something is missing. */
export type Arrival = 'new' | 'duplicate' | 'gap';

export class Inbox {
  /** Everything up to here was dealt with; what `Resume` and `Ack` carry. */
  cursor: number;
  /** Rises when numbers lose their meaning; acknowledgements of an earlier generation are void. */
  generation = 0;
  /** The last number of this connection. */
  #chain: number;
  /** The highest number that the application was given. */
  #received: number;
  /** Given to the application, above the cursor, rising: whether it was acknowledged. */
  #open = new Map<number, boolean>();
  /** The backlog of this connection ends here, until it was reached. */
  #backlogEnd: number | undefined;

  constructor(cursor: number) {
    this.cursor = cursor;
    this.#chain = cursor;
    this.#received = cursor;
  }

  /** What can be acknowledged in this connection: not what it has yet to deliver again. */
  acknowledgeable(): number {
    return Math.min(this.cursor, this.#chain);
  }

  /** A connection begins; it delivers what follows `cursor`, and its backlog ends at `tail`. */
  connected(cursor: number, tail: number): void {
    this.#chain = cursor;
    this.#backlogEnd = tail;
    if (cursor > this.cursor) {
      // The server will not deliver what lies between: there is nothing left to wait for.
      this.cursor = cursor;
      for (const seq of this.#open.keys()) if (seq <= cursor) this.#open.delete(seq);
    }
    this.#received = Math.max(this.#received, cursor);
  }

  /** The mailbox is another one: the old numbers mean nothing. */
  startOver(cursor: number): void {
    this.generation += 1;
    this.cursor = cursor;
    this.#chain = cursor;
    this.#received = cursor;
    this.#open.clear();
    this.#backlogEnd = undefined;
  }

  arrive(seq: number, after: number): Arrival {
    if (after !== this.#chain || seq <= after) return 'gap';
    this.#chain = seq;
    if (seq <= this.#received) return 'duplicate';
    this.#received = seq;
    this.#open.set(seq, false);
    return 'new';
  }

  /** Whether the backlog has just been reached; says so once for each connection. */
  caughtUp(): boolean {
    const reached = this.#backlogEnd !== undefined && this.#chain >= this.#backlogEnd;
    if (reached) this.#backlogEnd = undefined;
    return reached;
  }

  /** The application dealt with one entry. */
  acknowledge(generation: number, seq: number): void {
    if (generation !== this.generation || !this.#open.has(seq)) return;
    this.#open.set(seq, true);
    for (const [number, acknowledged] of this.#open) {
      if (!acknowledged) return;
      this.cursor = number;
      this.#open.delete(number);
    }
  }
}
