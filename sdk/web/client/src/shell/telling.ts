import type { Told } from './deliveries.js';

/** Transient events are dropped while so many wait for the application. */
const LIMIT = 2048;

/** Names an entry of the mailbox for its acknowledgement. */
export interface Ticket {
  generation: number;
  seq: number;
}

/** What waits for the application, one after the other: the next event comes when the handlers of the one before are through. */
export class Telling {
  #events: { told: Told; ticket: Ticket | undefined }[] = [];
  #running = false;
  /** Rises when what waits is given up. */
  #life = 0;

  constructor(
    private readonly emit: (told: Told) => Promise<void>,
    private readonly acknowledge: (ticket: Ticket) => void,
  ) {}

  /** An entry of the mailbox, with its ticket, or what becomes known. */
  tell(told: Told, ticket?: Ticket): void {
    this.#events.push({ told, ticket });
    if (!this.#running) this.#run();
  }

  /** What is dropped when too much waits. */
  tellTransient(told: Told): void {
    if (this.#events.length < LIMIT) this.tell(told);
  }

  /** What was not handled comes again. */
  clear(): void {
    this.#events = [];
    this.#life += 1;
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let next = this.#events.shift(); next; next = this.#events.shift()) {
      const life = this.#life;
      await this.emit(next.told);
      if (next.ticket && life === this.#life) this.acknowledge(next.ticket);
    }
    this.#running = false;
  }
}
