import { emptyState, type Result, type State, type StateChange } from '../core/state.js';

/** What a device finds when it comes back. */
export interface Stored {
  device: string;
  state: State;
  /** How the last messages ended, by key, the oldest first: what a tab asks for again whose leader is gone is answered from here. */
  settled: [string, Result][];
}

/** So many ends of messages are kept. */
export const SETTLED_KEPT = 512;

/** Where a device keeps its state. */
export interface Store {
  /** Whether it keeps anything; where not, nothing is written. */
  readonly keeps: boolean;
  /** The state as the last successful writes left it; `device` is its name, if it has none yet. */
  load(device: string): Promise<Stored>;
  /** Makes the changes durable, all or none. A message is transmitted, and a delivery acknowledged, only after this. */
  write(changes: readonly StateChange[]): Promise<void>;
  close(): void;
}

/** Keeps the state for the life of the page alone: a reloaded page is another device, and goes on where the server's mailbox stands. */
export class MemoryStore implements Store {
  readonly keeps = false;

  async load(device: string): Promise<Stored> {
    return { device, state: emptyState(), settled: [] };
  }

  async write(): Promise<void> {}

  close(): void {}
}
