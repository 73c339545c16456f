// What the client takes from its surroundings. A browser has all of it; tests and Node give their own.

/** As far as the client uses a WebSocket. */
export interface SocketLike {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
}

export interface Environment {
  WebSocket: new (url: string, protocols: string[]) => SocketLike;
  /** Undefined: nothing can be kept. */
  indexedDB: IDBFactory | undefined;
  /** Undefined: tabs cannot share (a page that is not from https or localhost). */
  locks: Pick<LockManager, 'request'> | undefined;
  BroadcastChannel: (new (name: string) => BroadcastChannel) | undefined;
  fetch: typeof fetch;
  /** Where uploads are noted, to go on after a reload. */
  storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | undefined;
  /** Tells `online`, `offline`, `pagehide` and `pageshow`. */
  window: Pick<EventTarget, 'addEventListener' | 'removeEventListener'> | undefined;
  /** Tells `visibilitychange`. */
  document: (Pick<EventTarget, 'addEventListener' | 'removeEventListener'> & { visibilityState: string }) | undefined;
}

export function browserEnvironment(): Environment {
  const global = globalThis as typeof globalThis & { window?: Window; document?: Document };
  return {
    WebSocket: global.WebSocket as unknown as Environment['WebSocket'],
    indexedDB: global.indexedDB,
    locks: global.navigator?.locks,
    BroadcastChannel: global.BroadcastChannel,
    fetch: (input, init) => global.fetch(input, init),
    storage: localStorageOf(global),
    window: global.window,
    document: global.document,
  };
}

function localStorageOf(global: typeof globalThis): Storage | undefined {
  try {
    return global.localStorage;
  } catch {
    // The page may not keep anything.
    return undefined;
  }
}

/** A random name that nobody else has: 128 bits. `crypto.randomUUID` is missing on pages that are not from https. */
export function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
