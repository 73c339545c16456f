// Owns the connection: it feeds the state machine with what comes, in batches, and performs its effects. One batch costs one transaction in the
// store, however many messages it holds.
import { DEFAULT_CONFIG } from '../core/config.js';
import { Connection } from '../core/connection.js';
import type { Effect, Emit, Input, StopReason } from '../core/effects.js';
import type { ReceiptsAsked } from '../core/receipts.js';
import type { Answer } from '../core/requests.js';
import { emptyState, type Outgoing, type Result } from '../core/state.js';
import { type Failure, SignedOutError, TidingsError } from '../errors.js';
import type { ClientEvents, EventName, StateChanged } from '../events.js';
import { parseMessageId } from '../message-id.js';
import type { Accepted, Message } from '../model.js';
import type { ClientOptions } from '../options.js';
import { receiptsRequest, watchRequest } from '../requests.js';
import { messageOf, NO_STATUS, told } from './deliveries.js';
import { type Environment, randomName } from './environment.js';
import { type Progress, Sendings } from './sendings.js';
import { gatewayUrl, Socket } from './socket.js';
import type { Store } from './store.js';
import { Telling } from './telling.js';
import type { Tokens } from './token.js';

const BATCH = 256;
const LONGEST_TIMER = 2 ** 31 - 1;

/** A message of the outbox. */
export interface Pending {
  key: string;
  id: string;
  /** Undefined: it is a change of an earlier message. */
  message: Message | undefined;
}

type Response = (Answer & { ok: true })['response'];

interface Asker {
  resolve: (response: Response) => void;
  reject: (error: TidingsError) => void;
}

export class Engine {
  #core: Connection | undefined;
  #store: Store | undefined;
  readonly #urls: string[];
  #nextUrl: number;
  #device = '';
  #user: string | undefined;
  #app: string | undefined;

  #inputs: Input[] = [];
  #pumping = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt: { controller: AbortController; socket: Socket | undefined } | undefined;

  readonly #sendings = new Sendings();
  /** Of the batch under way: to be told when it is durable. */
  #queued: Outgoing[] = [];

  readonly #askers = new Map<bigint, Asker>();
  #nextRequest = 1n;
  readonly #watched = new Map<string, readonly string[]>();
  /** Groups of whose receipts tabs want to be told, and which tabs. */
  readonly #receipts = new Map<string, Set<string>>();

  readonly #telling: Telling;
  #stopped: (() => void) | undefined;
  #starting: Promise<void> | undefined;

  constructor(
    private readonly options: ClientOptions,
    private readonly environment: Environment,
    private readonly tokens: Tokens,
    private readonly openStore: () => Promise<Store>,
    /** Resolves when the application's handlers are through. */
    private readonly emit: <N extends EventName>(name: N, context: ClientEvents[N]) => Promise<void>,
  ) {
    this.#urls = [options.url].flat().map(gatewayUrl);
    if (this.#urls.length === 0) throw new TypeError('no address of a gateway');
    this.#nextUrl = Math.floor(Math.random() * this.#urls.length);
    this.#telling = new Telling(
      ({ name, context }) => this.emit(name, context as never),
      (ticket) => this.#input({ type: 'acknowledge', ...ticket }),
    );
  }

  /** Connects, also anew after it stopped. */
  start(): Promise<void> {
    if (this.#core) return Promise.resolve();
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { options } = this;
    this.#state({ state: 'connecting' });
    try {
      this.#store = await this.openStore();
      const stored = await this.#store.load(options.device ?? (this.#device || randomName()));
      this.#device = options.device ?? stored.device;
      this.#sendings.restore(stored.state.outbox, stored.state.stream, stored.settled);
      this.#user = stored.state.identity?.user;
      this.#app = stored.state.identity?.app;
      this.#begin(stored.state);
    } catch (error) {
      const reason: StopReason = { kind: 'store', code: undefined, message: `the storage does not work: ${error}` };
      this.#begin(emptyState());
      this.#input({ type: 'cannotOpen', reason });
    }
  }

  #begin(state: ReturnType<typeof emptyState>): void {
    const { options } = this;
    const config = {
      ...DEFAULT_CONFIG,
      device: this.#device,
      appId: options.appId ?? '',
      agent: options.agent ?? DEFAULT_CONFIG.agent,
      firstBackoff: options.backoff?.first ?? DEFAULT_CONFIG.firstBackoff,
      lastBackoff: options.backoff?.last ?? DEFAULT_CONFIG.lastBackoff,
      resendUnknown: options.resendUnknown ?? false,
      persist: this.#store?.keeps ?? false,
    };
    this.#core = new Connection(config, state);
    this.#input({ type: 'start' });
    // What was watched before it stopped.
    this.#watchAll().catch(() => {});
    for (const group of this.#receipts.keys()) this.#askReceipts({ group, off: false }).catch(() => {});
  }

  /** Ends the connection; what is in a store goes on from there with the next start. */
  async stop(): Promise<void> {
    await this.#starting;
    if (!this.#core) return;
    const stopped = new Promise<void>((resolve) => {
      this.#stopped = resolve;
    });
    this.#input({ type: 'stop' });
    await stopped;
  }

  get isStarting(): boolean {
    return this.#starting !== undefined;
  }

  send(send: Outgoing, progress: Progress): Promise<Accepted> {
    return new Promise((resolve, reject) => {
      if (!this.#core) return reject(new TidingsError(NOT_CONNECTED));
      if (this.#sendings.take(send, { resolve, reject, progress })) this.#input({ type: 'send', send });
    });
  }

  /** Takes a message back, unless the server may have it. */
  withdraw(key: string): void {
    this.#input({ type: 'withdraw', key });
  }

  /** `body` is an encoded `Request` without its id. */
  request(body: Uint8Array, watch?: readonly string[], receipts?: ReceiptsAsked): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (!this.#core) return reject(new TidingsError(NOT_CONNECTED));
      const id = this.#nextRequest;
      this.#nextRequest += 1n;
      this.#askers.set(id, { resolve, reject });
      this.#input({ type: 'request', id, body, watch, receipts });
    });
  }

  /** Watches for one tab; all tabs share one request. */
  async watch(tab: string, users: readonly string[]): Promise<void> {
    if (users.length > 0) this.#watched.set(tab, users);
    else this.#watched.delete(tab);
    await this.#watchAll(true);
  }

  /** Receipts of a group, for one tab or not any more; it goes on until no tab wants it. */
  async watchReceipts(tab: string, group: string, off: boolean): Promise<void> {
    const tabs = this.#receipts.get(group) ?? new Set();
    if (!off) this.#receipts.set(group, tabs.add(tab));
    else if (!tabs.delete(tab) || tabs.size > 0) return;
    else this.#receipts.delete(group);
    try {
      await this.#askReceipts({ group, off });
    } catch (error) {
      // What was refused is not asked for again.
      const refused = error instanceof TidingsError && error.kind === 'refused';
      if (refused && tabs.delete(tab) && tabs.size === 0) this.#receipts.delete(group);
      throw error;
    }
  }

  async #askReceipts(asked: ReceiptsAsked): Promise<void> {
    await this.request(receiptsRequest(asked.group, asked.off), undefined, asked);
  }

  /** A tab is gone. */
  forget(tab: string): void {
    if (this.#watched.delete(tab) && this.#core) this.#watchAll(true).catch(() => {});
    for (const group of [...this.#receipts.keys()]) this.watchReceipts(tab, group, true).catch(() => {});
  }

  async #watchAll(evenNone = false): Promise<void> {
    const users = [...new Set([...this.#watched.values()].flat())];
    if (users.length > 0 || evenNone) await this.request(watchRequest(users), users);
  }

  read(from: string, id: string): void {
    const { stream, seq } = parseMessageId(id);
    this.#input({ type: 'read', from, stream, seq: Number(seq) });
  }

  activity(body: Uint8Array): void {
    this.#input({ type: 'activity', body });
  }

  hurry(): void {
    this.#input({ type: 'hurry' });
  }

  networkLost(): void {
    this.#input({ type: 'networkLost' });
  }

  /** The outbox, in order. */
  pending(): Pending[] {
    return this.#sendings.all().map((send) => {
      const id = this.#sendings.id(send.key);
      const message = send.change.length > 0 ? undefined : messageOf(send, id, this.#user ?? '');
      return { key: send.key, id, message };
    });
  }

  #input(input: Input): void {
    if (!this.#core) return;
    this.#inputs.push(input);
    if (!this.#pumping) {
      this.#pumping = true;
      // What is said in the same breath goes together.
      queueMicrotask(() => this.#pump());
    }
  }

  async #pump(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.#inputs.length > 0 && this.#core) {
      const core = this.#core;
      for (const input of this.#inputs.splice(0, BATCH)) {
        if (input.type === 'send') this.#queued.push(input.send);
        core.handle(performance.now(), input);
      }
      await this.#perform(core, core.flush(performance.now()));
    }
    this.#pumping = false;
    this.#inputs.length = this.#core ? this.#inputs.length : 0;
    const wakeAt = this.#core?.wakeAt();
    if (wakeAt !== undefined) {
      const wait = Math.min(Math.max(wakeAt - performance.now(), 0), LONGEST_TIMER);
      this.#timer = setTimeout(() => this.#input({ type: 'tick' }), Math.ceil(wait));
    }
  }

  async #perform(core: Connection, effects: Effect[]): Promise<void> {
    const changes = effects.flatMap((effect) => (effect.type === 'persist' ? [effect.change] : []));
    let failed: unknown;
    if (changes.length > 0) {
      try {
        await this.#store?.write(changes);
      } catch (error) {
        failed = error ?? 'no reason';
      }
    }
    for (const effect of effects) {
      if (effect.type === 'numbered') this.#sendings.numbered(effect.key, effect.id);
    }
    const queued = this.#queued;
    this.#queued = [];
    if (failed === undefined) for (const send of queued) this.#isQueued(send);
    for (const effect of effects) {
      // Without durability nothing may be promised to the server.
      if (failed === undefined || effect.type !== 'transmit') this.#performOne(effect);
    }
    if (failed !== undefined && this.#core) {
      const message = `the storage does not work: ${failed}`;
      const failure: Failure = { kind: 'not-stored', code: undefined, message };
      for (const send of queued) this.#settle(send, { ok: false, id: '', failure });
      core.handle(performance.now(), { type: 'cannotOpen', reason: { kind: 'store', code: undefined, message } });
      for (const effect of core.flush(performance.now())) this.#performOne(effect);
    }
  }

  #performOne(effect: Effect): void {
    switch (effect.type) {
      case 'connect':
        this.#connect();
        break;
      case 'refreshToken':
        this.tokens.expired();
        break;
      case 'transmit':
        this.#attempt?.socket?.write(effect.frame);
        break;
      case 'disconnect':
        this.#disconnect();
        break;
      case 'settled':
        this.#settle(effect.send, effect.result);
        break;
      case 'answered': {
        const asker = this.#askers.get(effect.id);
        this.#askers.delete(effect.id);
        if (effect.answer.ok) asker?.resolve(effect.answer.response);
        else asker?.reject(new TidingsError(effect.answer.failure));
        break;
      }
      case 'emit':
        this.#tellOf(effect.emit);
        break;
      case 'stopped':
        this.#stop(effect.reason);
        break;
    }
  }

  #connect(): void {
    const attempt: { controller: AbortController; socket: Socket | undefined } = {
      controller: new AbortController(),
      socket: undefined,
    };
    this.#attempt = attempt;
    const { signal } = attempt.controller;
    this.#state({ state: 'connecting' });
    const open = async () => {
      const token = await this.tokens.get(signal);
      if (signal.aborted) return;
      const url = this.#urls[this.#nextUrl % this.#urls.length] as string;
      this.#nextUrl += 1;
      attempt.socket = new Socket(this.environment, url, {
        opened: () => this.#input({ type: 'opened', token }),
        frame: (frame) => this.#input({ type: 'frame', frame }),
        closed: (code, reason) => {
          if (this.#attempt === attempt) this.#attempt = undefined;
          this.#input({ type: 'closed', code, reason });
        },
      });
    };
    open().catch((error) => {
      if (signal.aborted) return;
      if (error instanceof SignedOutError || error?.name === 'SignedOutError') {
        const reason: StopReason = { kind: 'token', code: undefined, message: `no token: ${error.message}` };
        this.#input({ type: 'cannotOpen', reason });
      } else {
        this.#input({ type: 'closed', code: undefined, reason: `no connection: ${error?.message ?? error}` });
      }
    });
  }

  #disconnect(): void {
    this.#attempt?.controller.abort();
    this.#attempt?.socket?.drop();
    this.#attempt = undefined;
  }

  #isQueued(send: Outgoing): void {
    this.#sendings.queued(send.key);
    if (send.change.length > 0) return;
    const message = messageOf(send, this.#sendings.id(send.key), this.#user ?? '');
    this.emit('messageSent', { message, key: send.key });
  }

  #settle(send: Outgoing, result: Result): void {
    const { key, to, group } = send;
    const stays = !result.ok && result.failure.kind === 'stopped' && this.#store?.keeps === true;
    if (!stays) {
      const common = { ...NO_STATUS, id: result.id, to, group, key };
      this.emit(
        'statusChanged',
        result.ok
          ? { ...common, status: 'sent', atMs: result.sentAtMs }
          : {
              ...common,
              status: 'failed',
              atMs: Date.now(),
              reason: result.failure.code,
              error: result.failure.message,
            },
      );
    }
    this.#sendings.settle(send, result, stays);
  }

  #tellOf(emit: Emit): void {
    switch (emit.is) {
      case 'online':
        this.#user = emit.welcome.user;
        this.#app = emit.welcome.app;
        this.#state({ state: 'connected' });
        break;
      case 'offline': {
        const { code: reason, reason: error, retryInMs } = emit;
        this.#state({ state: 'waiting', reason, error, retryAt: Date.now() + retryInMs });
        break;
      }
      case 'delivery': {
        const { generation, seq, envelope } = emit;
        const ticket = { generation, seq };
        const event = told(envelope, seq, this.#user ?? '', this.#core?.stream ?? 0n);
        if (event) this.#telling.tell(event, ticket);
        else this.#input({ type: 'acknowledge', ...ticket });
        break;
      }
      case 'transient': {
        const event = told(emit.envelope, 0, this.#user ?? '', this.#core?.stream ?? 0n);
        if (event) this.#telling.tellTransient(event);
        break;
      }
      case 'presence': {
        this.#telling.tell({ name: 'presenceChanged', context: { users: emit.users } });
        break;
      }
      case 'unknownRange':
        this.#telling.tell({ name: 'continuityLost', context: { from: emit.from, to: emit.to } });
        break;
      case 'caughtUp':
        this.#telling.tell({ name: 'caughtUp', context: {} });
        break;
    }
  }

  #state(state: Partial<StateChanged> & Pick<StateChanged, 'state'>): void {
    const unset = { reason: undefined, error: undefined, retryAt: undefined };
    this.emit('stateChanged', { user: this.#user, app: this.#app, ...unset, ...state });
  }

  #stop(reason: StopReason): void {
    this.#core = undefined;
    this.#inputs = [];
    this.#queued = [];
    this.#telling.clear();
    clearTimeout(this.#timer);
    this.#store?.close();
    this.#store = undefined;
    const failure: Failure = { kind: 'stopped', code: reason.code, message: reason.message };
    this.#sendings.clear(failure);
    for (const { reject } of this.#askers.values()) reject(new TidingsError(failure));
    this.#askers.clear();
    const closed = reason.kind === 'closed';
    this.#state(closed ? { state: 'idle' } : { state: 'stopped', reason: reason.code, error: reason.message });
    this.#stopped?.();
  }
}

const NOT_CONNECTED: Failure = { kind: 'stopped', code: undefined, message: 'the client is not connected' };
