// One person's browser: pages that share storage, locks and channels, and can crash.
import { IDBFactory } from 'fake-indexeddb';
import type { Environment } from '../../src/index.js';
import type { Gateway } from './gateway.js';

type Callback = () => unknown;

interface Request {
  page: Page;
  callback: Callback;
  settle: (value: unknown) => void;
  fail: (error: unknown) => void;
}

/** The Web Locks of one origin, as far as the client uses them: exclusive, in the order of asking, given up with a signal. */
class Locks {
  readonly #held = new Map<string, Request>();
  readonly #waiting = new Map<string, Request[]>();

  of(page: Page): Pick<LockManager, 'request'> {
    const request = (name: string, first: LockOptions | Callback, second?: Callback) => {
      const { signal } = typeof first === 'function' ? { signal: undefined } : first;
      const callback = (second ?? first) as Callback;
      return new Promise((settle, fail) => {
        const asked: Request = { page, callback, settle, fail };
        this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), asked]);
        signal?.addEventListener('abort', () => {
          if (this.#drop(name, asked)) fail(signal.reason);
        });
        queueMicrotask(() => this.#grant(name));
      });
    };
    return { request: request as unknown as LockManager['request'] };
  }

  /** The page is gone: its locks are free, and it asks for none. */
  crash(page: Page): void {
    for (const [name, waiting] of this.#waiting)
      this.#waiting.set(
        name,
        waiting.filter((asked) => asked.page !== page),
      );
    for (const [name, holder] of this.#held) if (holder.page === page) this.#free(name, holder);
  }

  #drop(name: string, asked: Request): boolean {
    const waiting = this.#waiting.get(name) ?? [];
    this.#waiting.set(
      name,
      waiting.filter((other) => other !== asked),
    );
    return waiting.includes(asked);
  }

  #grant(name: string): void {
    const [next, ...others] = this.#waiting.get(name) ?? [];
    if (!next || this.#held.has(name)) return;
    this.#waiting.set(name, others);
    this.#held.set(name, next);
    const free = () => this.#free(name, next);
    Promise.resolve()
      .then(() => next.callback())
      .then(next.settle, next.fail)
      .finally(free);
  }

  #free(name: string, holder: Request): void {
    if (this.#held.get(name) !== holder) return;
    this.#held.delete(name);
    queueMicrotask(() => this.#grant(name));
  }
}

/** One page of a browser. */
export interface Page {
  environment: Environment;
  /** Tells the page of `online`, `offline` and so on. */
  window: EventTarget;
  channels: Set<{ deaf: boolean }>;
  /** From here on its databases take nothing. */
  breakStorage: () => void;
  /** It is gone, without a word: nothing it does has an effect any more. */
  crash: () => void;
}

export class Browser {
  readonly indexedDB = new IDBFactory();
  readonly items = new Map<string, string>();
  readonly #locks = new Locks();
  #channels = new Set<FakeChannel>();

  /** What is posted does not reach the page, until the answer is called. */
  deafen(page: Page): () => void {
    for (const channel of page.channels) channel.deaf = true;
    return () => {
      for (const channel of page.channels) channel.deaf = false;
    };
  }

  page(gateway: Gateway, fetch: Environment['fetch'] = () => Promise.reject(new TypeError('no network'))): Page {
    const { WebSocket, crash } = gateway.page();
    const browser = this;
    const databases = new Set<IDBDatabase>();
    const channels = new Set<FakeChannel>();
    class PageChannel extends FakeChannel {
      constructor(name: string) {
        super(name, browser.#channels);
        channels.add(this);
      }
    }
    const window = new EventTarget();
    const page: Page = {
      window,
      channels,
      environment: {
        WebSocket,
        indexedDB: new Proxy(this.indexedDB, {
          get: (factory, key) => {
            if (key !== 'open') return Reflect.get(factory, key);
            return (name: string, version: number) => {
              const request = factory.open(name, version);
              request.addEventListener('success', () => databases.add(request.result));
              return request;
            };
          },
        }),
        locks: undefined,
        BroadcastChannel: PageChannel as unknown as typeof BroadcastChannel,
        fetch,
        storage: {
          getItem: (key) => this.items.get(key) ?? null,
          setItem: (key, value) => void this.items.set(key, value),
          removeItem: (key) => void this.items.delete(key),
        },
        window,
        document: undefined,
      },
      breakStorage: () => {
        for (const database of databases) database.close();
      },
      crash: () => {
        crash();
        for (const channel of channels) channel.close();
        for (const database of databases) database.close();
        this.#locks.crash(page);
      },
    };
    page.environment.locks = this.#locks.of(page);
    return page;
  }
}

class FakeChannel {
  onmessage: ((event: MessageEvent) => void) | null = null;
  deaf = false;
  #closed = false;

  constructor(
    private readonly name: string,
    private readonly all: Set<FakeChannel>,
  ) {
    all.add(this);
  }

  postMessage(data: unknown): void {
    if (this.#closed) return;
    // Throws where a browser would: what cannot be cloned cannot be posted.
    const copy = structuredClone(data);
    for (const other of this.all) {
      if (other !== this && other.name === this.name) queueMicrotask(() => other.#hear(copy));
    }
  }

  #hear(data: unknown): void {
    if (!this.#closed && !this.deaf) this.onmessage?.({ data: structuredClone(data) } as MessageEvent);
  }

  close(): void {
    this.#closed = true;
    this.all.delete(this);
  }
}
