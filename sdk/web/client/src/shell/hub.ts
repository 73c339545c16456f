// One connection for many tabs: whichever tab holds the account's lock owns the engine, and does for the others what they ask through a channel. When
// it goes, the next tab goes on from the store, and is asked again for what was not answered: what a message is asked for twice is known by its key.
import type { Outgoing } from '../core/state.js';
import { type Failure, TidingsError } from '../errors.js';
import type { ClientEvents, Emitter, EventName, StateChanged } from '../events.js';
import type { ClientOptions } from '../options.js';
import { Engine } from './engine.js';
import { type Environment, randomName } from './environment.js';
import { IndexedDbStore } from './indexeddb.js';
import type { Progress } from './sendings.js';
import { MemoryStore, type Store } from './store.js';
import type { Tokens } from './token.js';

/** What a tab asks of the engine; plain data, for the channel. */
export type Call =
  | { op: 'start' }
  | { op: 'send'; send: Outgoing }
  | { op: 'withdraw'; key: string }
  | { op: 'request'; body: Uint8Array }
  | { op: 'watch'; users: readonly string[] }
  | { op: 'receipts'; group: string; off: boolean }
  | { op: 'read'; from: string; id: string }
  | { op: 'activity'; body: Uint8Array }
  | { op: 'hurry' }
  | { op: 'pending' };

type Answer = { ok: true; value: unknown } | { ok: false; failure: Failure };

type Post =
  /** A tab is there, and wants to know who leads. */
  | { type: 'hello'; tab: string }
  /** The one who leads: to one tab, or to all. */
  | { type: 'leader'; to: string | undefined; state: StateChanged }
  | { type: 'call'; tab: string; n: number; call: Call }
  | { type: 'progress'; tab: string; n: number; progress: Parameters<Progress>[0] }
  | { type: 'answer'; tab: string; n: number; answer: Answer }
  | { type: 'event'; name: EventName; context: ClientEvents[EventName] };

interface Asked {
  call: Call;
  progress: Progress;
  settle: (answer: Answer) => void;
}

const IDLE: StateChanged = {
  state: 'idle',
  user: undefined,
  app: undefined,
  reason: undefined,
  error: undefined,
  retryAt: undefined,
};

export class Hub {
  state = IDLE;
  readonly #tab = randomName();
  readonly #name: string;
  /** Whether tabs share; otherwise this one stands alone. */
  readonly #shares: boolean;
  #channel: BroadcastChannel | undefined;
  /** Of the tab that leads. */
  #engine: Engine | undefined;
  #release: (() => void) | undefined;
  /** Ends the wait for the lock, and gives up the sign of life. */
  #leave: AbortController | undefined;
  readonly #asked = new Map<number, Asked>();
  #nextCall = 1;
  /** Of other tabs: calls that are under way here. */
  readonly #running = new Set<string>();
  readonly #known = new Set<string>();
  #watched: readonly string[] = [];
  /** Groups of whose receipts this tab wants to be told. */
  readonly #receipts = new Set<string>();

  constructor(
    private readonly options: ClientOptions,
    private readonly environment: Environment,
    private readonly tokens: Tokens,
    private readonly emitter: Emitter,
  ) {
    this.#name = `tidings/${options.account ?? 'default'}`;
    const { indexedDB, locks, BroadcastChannel } = environment;
    this.#shares = options.storage !== 'memory' && !!indexedDB && !!locks && !!BroadcastChannel;
  }

  start(): void {
    if (this.#leave) {
      if (this.state.state === 'stopped' || this.state.state === 'idle') this.call({ op: 'start' }).catch(() => {});
      return;
    }
    this.#leave = new AbortController();
    this.#emitHere('stateChanged', { ...this.state, state: 'connecting' });
    this.#listen(this.#leave.signal);
    if (!this.#shares) {
      this.#lead();
      return;
    }
    const { locks, BroadcastChannel } = this.environment;
    if (!locks || !BroadcastChannel) return;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<Post>) => this.#posted(data);
    const { signal } = this.#leave;
    const untilGone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    // Others see by this lock that the tab is there.
    const alive = locks.request(`${this.#name}/${this.#tab}`, () => untilGone);
    const leads = locks.request(this.#name, { signal }, () => {
      if (!signal.aborted) return new Promise<void>((resolve) => this.#lead(resolve));
    });
    for (const request of [alive, leads]) request.catch(() => {});
    this.#post({ type: 'hello', tab: this.#tab });
  }

  async close(): Promise<void> {
    const leave = this.#leave;
    if (!leave) return;
    this.#leave = undefined;
    leave.abort();
    const engine = this.#engine;
    // From here on nobody else hears of what we do.
    this.#channel?.close();
    this.#channel = undefined;
    await engine?.stop();
    this.#engine = undefined;
    this.#release?.();
    this.#release = undefined;
    const failure: Failure = { kind: 'stopped', code: undefined, message: 'the client was closed' };
    for (const { settle } of this.#asked.values()) settle({ ok: false, failure });
    this.#asked.clear();
    this.#emitHere('stateChanged', IDLE);
  }

  /** Does it here or has it done by the tab that leads; asks again when that one goes. */
  call<T>(call: Call, progress: Progress = () => {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!this.#leave) {
        const message = 'the client is not connected';
        return reject(new TidingsError({ kind: 'stopped', code: undefined, message }));
      }
      const n = this.#nextCall;
      this.#nextCall += 1;
      const settle = (answer: Answer) => {
        this.#asked.delete(n);
        if (answer.ok) return resolve(answer.value as T);
        // What was refused is not asked for again.
        if (call.op === 'receipts' && answer.failure.kind === 'refused') this.#receipts.delete(call.group);
        reject(new TidingsError(answer.failure));
      };
      if (call.op === 'watch') this.#watched = call.users;
      if (call.op === 'receipts') this.#receipts[call.off ? 'delete' : 'add'](call.group);
      const asked = { call, progress, settle };
      this.#asked.set(n, asked);
      if (this.#engine) this.#runHere(asked);
      else this.#post({ type: 'call', tab: this.#tab, n, call });
    });
  }

  /** `resolve` gives up the lock. */
  async #lead(resolve?: () => void): Promise<void> {
    this.#release = resolve;
    const engine = new Engine(
      this.options,
      this.environment,
      this.tokens,
      () => this.#openStore(),
      (name, context) => {
        this.#post({ type: 'event', name, context });
        return this.#emitHere(name, context);
      },
    );
    this.#engine = engine;
    await engine.start();
    if (this.#engine !== engine) return;
    this.#post({ type: 'leader', to: undefined, state: this.state });
    for (const asked of [...this.#asked.values()]) this.#runHere(asked);
    if (this.#watched.length > 0) engine.watch(this.#tab, this.#watched).catch(() => {});
    for (const group of this.#receipts) engine.watchReceipts(this.#tab, group, false).catch(() => {});
  }

  async #openStore(): Promise<Store> {
    const { indexedDB } = this.environment;
    return this.#shares && indexedDB ? IndexedDbStore.open(indexedDB, this.#name) : new MemoryStore();
  }

  async #runHere({ call, progress, settle }: Asked): Promise<void> {
    settle(await this.#run(this.#tab, call, progress));
  }

  async #run(tab: string, call: Call, progress: Progress): Promise<Answer> {
    const engine = this.#engine;
    try {
      // What is asked while the engine starts waits for it.
      if (call.op !== 'start' && engine?.isStarting) await engine.start();
      return { ok: true, value: await perform(engine as Engine, tab, call, progress) };
    } catch (error) {
      if (error instanceof TidingsError) return { ok: false, failure: error.failure };
      return { ok: false, failure: { kind: 'stopped', code: undefined, message: String(error) } };
    }
  }

  #posted(post: Post): void {
    switch (post.type) {
      case 'hello':
        if (!this.#engine) return;
        this.#meet(post.tab);
        this.#post({ type: 'leader', to: post.tab, state: this.state });
        break;
      case 'leader':
        if (this.#engine || (post.to !== undefined && post.to !== this.#tab)) return;
        this.#emitHere('stateChanged', post.state);
        for (const [n, { call }] of this.#asked) this.#post({ type: 'call', tab: this.#tab, n, call });
        if (this.#watched.length > 0) this.call({ op: 'watch', users: this.#watched }).catch(() => {});
        for (const group of [...this.#receipts]) this.call({ op: 'receipts', group, off: false }).catch(() => {});
        break;
      case 'call':
        if (this.#engine) this.#runFor(post.tab, post.n, post.call);
        break;
      case 'progress':
        if (post.tab === this.#tab) this.#asked.get(post.n)?.progress(post.progress);
        break;
      case 'answer':
        if (post.tab === this.#tab) this.#asked.get(post.n)?.settle(post.answer);
        break;
      case 'event':
        if (!this.#engine) this.#emitHere(post.name, post.context);
        break;
    }
  }

  async #runFor(tab: string, n: number, call: Call): Promise<void> {
    const id = `${tab} ${n}`;
    if (this.#running.has(id)) return;
    this.#running.add(id);
    this.#meet(tab);
    const answer = await this.#run(tab, call, (progress) => this.#post({ type: 'progress', tab, n, progress }));
    this.#post({ type: 'answer', tab, n, answer });
    this.#running.delete(id);
  }

  /** Learns when the other tab goes: its lock is free then. */
  #meet(tab: string): void {
    const signal = this.#leave?.signal;
    if (this.#known.has(tab) || !signal) return;
    this.#known.add(tab);
    const gone = this.environment.locks?.request(`${this.#name}/${tab}`, { signal }, () => {
      this.#known.delete(tab);
      this.#engine?.forget(tab);
    });
    gone?.catch(() => {});
  }

  #emitHere<N extends EventName>(name: N, context: ClientEvents[N]): Promise<void> {
    if (name === 'stateChanged') this.state = context as StateChanged;
    return this.emitter.emit(name, context);
  }

  #post(post: Post): void {
    this.#channel?.postMessage(post);
  }

  #listen(signal: AbortSignal): void {
    const { window, document } = this.environment;
    const hurry = () => void this.call({ op: 'hurry' }).catch(() => {});
    const listen = (
      to: Pick<EventTarget, 'addEventListener'> | undefined,
      event: string,
      handler: (event: Event) => void,
    ) => to?.addEventListener(event, handler, { signal });
    listen(window, 'online', () => this.#engine?.hurry());
    listen(window, 'offline', () => this.#engine?.networkLost());
    listen(document, 'visibilitychange', () => document?.visibilityState === 'visible' && hurry());
    // A page that the browser puts aside must not keep the others from leading; it begins anew when it is shown again.
    listen(window, 'pagehide', (event) => {
      if (!(event as PageTransitionEvent).persisted) return;
      this.close();
      window?.addEventListener('pageshow', () => this.start(), { once: true });
    });
  }
}

function perform(engine: Engine, tab: string, call: Call, progress: Progress): unknown {
  switch (call.op) {
    case 'start':
      return engine.start();
    case 'send':
      return engine.send(call.send, progress);
    case 'withdraw':
      return engine.withdraw(call.key);
    case 'request':
      return engine.request(call.body);
    case 'watch':
      return engine.watch(tab, call.users);
    case 'receipts':
      return engine.watchReceipts(tab, call.group, call.off);
    case 'read':
      return engine.read(call.from, call.id);
    case 'activity':
      return engine.activity(call.body);
    case 'hurry':
      return engine.hurry();
    case 'pending':
      return engine.pending();
  }
}
