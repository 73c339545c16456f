// The state of a device in IndexedDB: one database per account, one transaction per batch of changes.
import { emptyState, type Result, type State, type StateChange, type StoredSend } from '../core/state.js';
import { SETTLED_KEPT, type Store, type Stored } from './store.js';

/** The format; a newer one is refused by the browser itself (`VersionError`). */
const VERSION = 1;
const DEVICE = 'device';
const OUTBOX = 'outbox';
const SETTLED = 'settled';
const ONLY = 'only';

/** Everything but the outbox. */
interface DeviceRecord extends Omit<State, 'outbox'> {
  device: string;
}

interface SettledRecord {
  key: string;
  result: Result;
}

export class IndexedDbStore implements Store {
  readonly keeps = true;
  #record: DeviceRecord | undefined;
  /** Of the ends that are kept: their places in the object store, the oldest first. */
  #settled: IDBValidKey[] = [];

  private constructor(private readonly database: IDBDatabase) {
    // Another build wants to change the format: it goes first, and our next write fails.
    database.onversionchange = () => database.close();
  }

  static async open(factory: IDBFactory, name: string): Promise<IndexedDbStore> {
    const opening = factory.open(name, VERSION);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(DEVICE);
      opening.result.createObjectStore(OUTBOX, { keyPath: 'seq' });
      opening.result.createObjectStore(SETTLED, { autoIncrement: true });
    };
    return new IndexedDbStore(await done(opening));
  }

  async load(device: string): Promise<Stored> {
    const transaction = this.database.transaction([DEVICE, OUTBOX, SETTLED]);
    const [record, outbox, settled, places] = await Promise.all([
      done<DeviceRecord | undefined>(transaction.objectStore(DEVICE).get(ONLY)),
      done<StoredSend[]>(transaction.objectStore(OUTBOX).getAll()),
      done<SettledRecord[]>(transaction.objectStore(SETTLED).getAll()),
      done(transaction.objectStore(SETTLED).getAllKeys()),
    ]);
    this.#settled = places;
    const { outbox: _, ...empty } = emptyState();
    this.#record = record ?? { device, ...empty };
    if (!record) {
      // The name has to be kept before anybody hears of it.
      const first = this.database.transaction(DEVICE, 'readwrite', { durability: 'strict' });
      first.objectStore(DEVICE).put(this.#record, ONLY);
      await committed(first);
    }
    const { device: kept, ...state } = this.#record;
    return { device: kept, state: { ...state, outbox }, settled: settled.map(({ key, result }) => [key, result]) };
  }

  async write(changes: readonly StateChange[]): Promise<void> {
    const record = this.#record;
    if (!record) throw new Error('the store was not loaded');
    const next = { ...record };
    // A number that was transmitted and forgotten would be given to another message, which the mailbox then took for the first. Lost answers and
    // cursors are only asked for again.
    const durability = changes.some(({ type }) => type === 'reset' || type === 'enqueued') ? 'strict' : 'relaxed';
    const transaction = this.database.transaction([DEVICE, OUTBOX, SETTLED], 'readwrite', { durability });
    const outbox = transaction.objectStore(OUTBOX);
    const settled = transaction.objectStore(SETTLED);
    const places: IDBRequest<IDBValidKey>[] = [];
    for (const change of changes) {
      switch (change.type) {
        case 'reset': {
          const { outbox: sends, ...state } = change.state;
          Object.assign(next, state);
          outbox.clear();
          for (const send of sends) outbox.put(send);
          break;
        }
        case 'enqueued':
          next.nextSeq = change.send.seq + 1;
          outbox.put(change.send);
          break;
        case 'answered':
          outbox.delete(change.seq);
          places.push(settled.add({ key: change.key, result: change.result }));
          break;
        case 'cursor':
          next.cursor = change.cursor;
          break;
      }
    }
    const tooMany = Math.max(0, this.#settled.length + places.length - SETTLED_KEPT);
    for (const place of this.#settled.slice(0, tooMany)) settled.delete(place);
    transaction.objectStore(DEVICE).put(next, ONLY);
    await committed(transaction);
    this.#record = next;
    this.#settled = [...this.#settled.slice(tooMany), ...places.map((place) => place.result)];
  }

  close(): void {
    this.database.close();
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'));
  });
}
