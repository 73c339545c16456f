// Owns the connection: it feeds the state machine with what comes, in batches, and performs its effects. One batch costs one transaction in the
// store, however many messages it holds.
import { Connection, DEFAULT_CONFIG } from '../core/connection.js';
import type { Effect, Emit, Input, StopReason } from '../core/effects.js';
import type { Answer } from '../core/requests.js';
import { emptyState, type Outgoing, type Result } from '../core/state.js';
import { type Failure, SignedOutError, TidingsError } from '../errors.js';
import type { ClientEvents, EventName, StateChanged } from '../events.js';
import { parseMessageId } from '../message-id.js';
import type { Accepted, Message } from '../model.js';
import type { ClientOptions } from '../options.js';
import { watchRequest } from '../requests.js';
import { messageOf, NO_STATUS, type Told, told } from './deliveries.js';
import { type Environment, randomName } from './environment.js';
import { gatewayUrl, Socket } from './socket.js';
import { SETTLED_KEPT, type Store } from './store.js';
import type { Tokens } from './token.js';

const BATCH = 256;
/** Messages in the outbox, and their bytes; beyond it `send` is refused. */
export const OUTBOX_LIMIT = 10_000;
export const OUTBOX_BYTES = 16 * 1024 * 1024;
/** Transient events are dropped while so many wait for the application. */
const WAITING_EVENTS = 2048;
const LONGEST_TIMER = 2 ** 31 - 1;

/** What a caller of `send` is told besides the end of it. */
export type Progress = (progress: { queued?: true; id?: string }) => void;

interface Waiter {
  resolve: (accepted: Accepted) => void;
  reject: (error: TidingsError) => void;
  progress: Progress;
}

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

  readonly #outbox = new Map<string, Outgoing>();
  readonly #ids = new Map<string, string>();
  #outboxBytes = 0;
  readonly #waiters = new Map<string, Waiter[]>();
  readonly #settled = new Map<string, Result>();
  /** Of the batch under way: to be told when it is durable. */
  #queued: Outgoing[] = [];

  readonly #askers = new Map<bigint, Asker>();
  #nextRequest = 1n;
  readonly #watched = new Map<string, readonly string[]>();

  #events: { told: Told; ticket: { generation: number; seq: number } | undefined }[] = [];
  #telling = false;
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
      for (const [key, result] of stored.settled) this.#settled.set(key, result);
      const { outbox, stream } = stored.state;
      for (const { seq, ...send } of outbox) {
        this.#admit(send);
        if (stream !== 0n) this.#ids.set(send.key, `${stream}.${seq}`);
      }
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
      const { key } = send;
      const settled = this.#settled.get(key);
      if (settled) {
        progress({ queued: true, id: settled.id });
        return finish({ resolve, reject, progress }, settled);
      }
      const known = this.#outbox.has(key);
      const full = this.#outbox.size >= OUTBOX_LIMIT || this.#outboxBytes + bytesOf(send) > OUTBOX_BYTES;
      if (!known && (full || !this.#core)) {
        const failure: Failure = this.#core
          ? { kind: 'full', code: undefined, message: 'the outbox is full' }
          : { kind: 'stopped', code: undefined, message: 'the client is not connected' };
        return reject(new TidingsError(failure));
      }
      const waiter = { resolve, reject, progress };
      this.#waiters.set(key, [...(this.#waiters.get(key) ?? []), waiter]);
      if (known) return progress({ queued: true, id: this.#ids.get(key) ?? '' });
      this.#admit(send);
      this.#input({ type: 'send', send });
    });
  }

  /** Takes a message back, unless the server may have it. */
  withdraw(key: string): void {
    this.#input({ type: 'withdraw', key });
  }

  /** `body` is an encoded `Request` without its id. */
  request(body: Uint8Array, watch?: readonly string[]): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (!this.#core) {
        return reject(new TidingsError({ kind: 'stopped', code: undefined, message: 'the client is not connected' }));
      }
      const id = this.#nextRequest;
      this.#nextRequest += 1n;
      this.#askers.set(id, { resolve, reject });
      this.#input({ type: 'request', id, body, watch });
    });
  }

  /** Watches for one tab; all tabs share one request. */
  async watch(tab: string, users: readonly string[]): Promise<void> {
    if (users.length > 0) this.#watched.set(tab, users);
    else this.#watched.delete(tab);
    await this.#watchAll(true);
  }

  /** A tab is gone. */
  forget(tab: string): void {
    if (this.#watched.delete(tab) && this.#core) this.#watchAll(true).catch(() => {});
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
    return [...this.#outbox.values()].map((send) => {
      const id = this.#ids.get(send.key) ?? '';
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
      if (effect.type === 'numbered') this.#numbered(effect.key, effect.id);
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

  #admit(send: Outgoing): void {
    this.#outbox.set(send.key, send);
    this.#outboxBytes += bytesOf(send);
  }

  #numbered(key: string, id: string): void {
    if (!this.#outbox.has(key)) return;
    this.#ids.set(key, id);
    for (const { progress } of this.#waiters.get(key) ?? []) progress({ id });
  }

  #isQueued(send: Outgoing): void {
    for (const { progress } of this.#waiters.get(send.key) ?? []) progress({ queued: true });
    if (send.change.length > 0) return;
    const message = messageOf(send, this.#ids.get(send.key) ?? '', this.#user ?? '');
    this.emit('messageSent', { message, key: send.key });
  }

  #settle(send: Outgoing, result: Result): void {
    const { key, to, group } = send;
    const stays = !result.ok && result.failure.kind === 'stopped' && this.#store?.keeps;
    if (this.#outbox.delete(key)) this.#outboxBytes -= bytesOf(send);
    this.#ids.delete(key);
    if (!stays) {
      this.#settled.set(key, result);
      const [oldest] = this.#settled.keys();
      if (this.#settled.size > SETTLED_KEPT && oldest !== undefined) this.#settled.delete(oldest);
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
    for (const waiter of this.#waiters.get(key) ?? []) finish(waiter, result);
    this.#waiters.delete(key);
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
        if (event) this.#tell(event, ticket);
        else this.#input({ type: 'acknowledge', ...ticket });
        break;
      }
      case 'transient': {
        const event = told(emit.envelope, 0, this.#user ?? '', this.#core?.stream ?? 0n);
        if (event && this.#events.length < WAITING_EVENTS) this.#tell(event);
        break;
      }
      case 'presence': {
        this.#tell({ name: 'presenceChanged', context: { users: emit.users } });
        break;
      }
      case 'unknownRange':
        this.#tell({ name: 'continuityLost', context: { from: emit.from, to: emit.to } });
        break;
      case 'caughtUp':
        this.#tell({ name: 'caughtUp', context: {} });
        break;
    }
  }

  #tell(event: Told, ticket?: { generation: number; seq: number }): void {
    this.#events.push({ told: event, ticket });
    if (!this.#telling) this.#tellAll();
  }

  /** One after the other: the next event comes when the handlers of this one are through. */
  async #tellAll(): Promise<void> {
    this.#telling = true;
    for (let next = this.#events.shift(); next; next = this.#events.shift()) {
      const core = this.#core;
      await this.emit(next.told.name, next.told.context as never);
      if (next.ticket && core === this.#core) this.#input({ type: 'acknowledge', ...next.ticket });
    }
    this.#telling = false;
  }

  #state(state: Partial<StateChanged> & Pick<StateChanged, 'state'>): void {
    const unset = { reason: undefined, error: undefined, retryAt: undefined };
    this.emit('stateChanged', { user: this.#user, app: this.#app, ...unset, ...state });
  }

  #stop(reason: StopReason): void {
    this.#core = undefined;
    this.#inputs = [];
    this.#queued = [];
    // What was not handled comes again.
    this.#events = [];
    this.#outbox.clear();
    this.#ids.clear();
    this.#outboxBytes = 0;
    this.#settled.clear();
    clearTimeout(this.#timer);
    this.#store?.close();
    this.#store = undefined;
    for (const waiters of this.#waiters.values()) {
      for (const waiter of waiters)
        finish(waiter, { ok: false, id: '', failure: { ...STOPPED, message: reason.message } });
    }
    this.#waiters.clear();
    for (const { reject } of this.#askers.values()) reject(new TidingsError({ ...STOPPED, message: reason.message }));
    this.#askers.clear();
    const closed = reason.kind === 'closed';
    this.#state(closed ? { state: 'idle' } : { state: 'stopped', reason: reason.code, error: reason.message });
    this.#stopped?.();
  }
}

const STOPPED: Failure = { kind: 'stopped', code: undefined, message: '' };

function finish({ resolve, reject }: Waiter, result: Result): void {
  if (result.ok) resolve({ id: result.id, sentAtMs: result.sentAtMs, durability: result.durability });
  else reject(new TidingsError(result.failure));
}

function bytesOf(send: Outgoing): number {
  return send.content.length + send.change.length;
}
