import type { Attachment } from '@tidings/client';
import type { ConversationKey, MentionView } from '../model.js';

/** A message with files that are not all on the server yet. */
export interface KeptMessage {
  /** What it is called here, and the client's key of it: by that it is sent once, however often it is handed over. */
  readonly local: string;
  readonly conversation: ConversationKey;
  readonly at: number;
  readonly text: string;
  readonly mentions: readonly MentionView[];
  readonly replyTo: string | undefined;
  /** Files by their places that are there already. */
  readonly uploaded: readonly (readonly [number, Attachment])[];
}

export interface Kept {
  readonly message: KeptMessage;
  readonly files: readonly File[];
}

const MESSAGES = 'messages';
const FILES = 'files';
/** Bytes of files that are kept of one account, and messages with them. */
export const KEPT_BYTES = 128 * 1024 * 1024;
export const KEPT_MESSAGES = 64;

interface Surroundings {
  readonly indexedDB: IDBFactory;
  readonly locks: Pick<LockManager, 'request'>;
}

/** Keeps what is being uploaded, with its files, so that it goes on after a reload: in one database of the browser for each account. */
export class KeptUploads {
  readonly #name: string;
  #opened: Promise<IDBDatabase> | undefined;

  constructor(
    account: string,
    private readonly surroundings: Surroundings,
  ) {
    this.#name = `tidings.ui/${account}/uploads`;
  }

  /** Undefined where the page may keep nothing, or tabs could not tell whose upload it is. */
  static here(account: string): KeptUploads | undefined {
    const { indexedDB, navigator } = globalThis as Partial<typeof globalThis>;
    const locks = navigator?.locks;
    return indexedDB && locks ? new KeptUploads(account, { indexedDB, locks }) : undefined;
  }

  /** Answers whether it is kept: not when the files are too large, or the browser has no room for them. */
  async keep({ message, files }: Kept): Promise<boolean> {
    try {
      const before = await this.all();
      const bytes = [...before.flatMap((kept) => kept.files), ...files].reduce((sum, { size }) => sum + size, 0);
      if (bytes > KEPT_BYTES || before.length >= KEPT_MESSAGES) return false;
      await this.#write((messages, byName) => {
        messages.put(message, message.local);
        byName.put(files, message.local);
      });
      return true;
    } catch {
      return false;
    }
  }

  /** Some of its files are there now. */
  async uploaded(message: KeptMessage): Promise<void> {
    await this.#write((messages) => messages.put(message, message.local));
  }

  async drop(local: string): Promise<void> {
    await this.#write((messages, files) => {
      messages.delete(local);
      files.delete(local);
    });
  }

  /** What is kept, in the order in which it was written. */
  async all(): Promise<Kept[]> {
    const transaction = (await this.#database()).transaction([MESSAGES, FILES]);
    const [messages, names, files] = await Promise.all([
      done<KeptMessage[]>(transaction.objectStore(MESSAGES).getAll()),
      done(transaction.objectStore(FILES).getAllKeys()),
      done<File[][]>(transaction.objectStore(FILES).getAll()),
    ]);
    const byName = new Map(names.map((name, index) => [name, files[index] ?? []]));
    return messages
      .map((message) => ({ message, files: byName.get(message.local) ?? [] }))
      .sort((a, b) => a.message.at - b.message.at);
  }

  /** Does it when no other tab is at it any more, and while none begins. */
  async alone(local: string, does: () => Promise<void>, signal: AbortSignal): Promise<void> {
    await this.surroundings.locks.request(`${this.#name}/${local}`, { signal }, does);
  }

  async #write(does: (messages: IDBObjectStore, files: IDBObjectStore) => void): Promise<void> {
    const transaction = (await this.#database()).transaction([MESSAGES, FILES], 'readwrite');
    const ended = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'));
    });
    does(transaction.objectStore(MESSAGES), transaction.objectStore(FILES));
    await ended;
  }

  #database(): Promise<IDBDatabase> {
    this.#opened ??= (async () => {
      const opening = this.surroundings.indexedDB.open(this.#name, 1);
      opening.onupgradeneeded = () => {
        opening.result.createObjectStore(MESSAGES);
        opening.result.createObjectStore(FILES);
      };
      const database = await done(opening);
      // Another build wants to change the format, or the browser takes its room back: it is opened anew.
      const gone = () => {
        database.close();
        this.#opened = undefined;
      };
      database.onversionchange = gone;
      database.onclose = gone;
      return database;
    })();
    this.#opened.catch(() => {
      this.#opened = undefined;
    });
    return this.#opened;
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
