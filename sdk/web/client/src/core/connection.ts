// The connection as a pure state machine: an input and the time go in, effects come out; no clock and no I/O. The twin of the Rust SDK's
// (sdk/rust/src/connection.rs), held to it by sdk/vectors. The engine performs the effects in order, with all `persist` of a batch made durable
// first.
//
// States: new → opening → handshake → online → waiting → opening …, and stopped from any of them. `handle` takes one input; `flush` ends a batch
// of inputs and writes what may be written together; `wakeAt` says when `tick` is due. Times are milliseconds since any fixed moment.
import type { Failure } from '../errors.js';
import type { Deliver, Hello, Refused, Welcome } from '../gen/tidings/client/v1/client_pb.js';
import { ErrorCode } from '../gen/tidings/errors/v1/errors_pb.js';
import { formatMessageId, parseMessageId } from '../message-id.js';
import { Backoff, randomUpTo } from './backoff.js';
import { activityFrame, type ClientFrameBody, encodeFrame, type ServerFrameBody } from './codec.js';
import { errorOf, nextOf, reconnects } from './codes.js';
import type { Config } from './config.js';
import type { Effect, Emit, Input, StopReason } from './effects.js';
import { Inbox } from './inbox.js';
import { type Entry, isTransient, Outbox } from './outbox.js';
import { earliest, Reads } from './reads.js';
import { WatchedReceipts } from './receipts.js';
import { Requests } from './requests.js';
import type { Identity, Outgoing, Result, State } from './state.js';
import { OWN_REQUEST, Watching } from './watching.js';

/** The anti-replay window of a mailbox: no sender may have numbers further apart in flight. */
const LARGEST_SEND_WINDOW = 256;
/** Where `Welcome` names no heartbeat. */
const DEFAULT_HEARTBEAT_MS = 30_000;
const PROTOCOL_VERSION = 1;
/** How long after an attempt was given up it may still come through. */
const LATE_MS = 60_000;

interface Online {
  is: 'online';
  since: number;
  lastHeard: number;
  /** Since when an answer to a `Ping` has been awaited. */
  pingedAt: number | undefined;
  heartbeat: number;
  sendWindow: number;
  maxFrameBytes: number;
}

type Phase =
  | { is: 'new' }
  | { is: 'opening'; deadline: number }
  | { is: 'handshake'; deadline: number }
  | Online
  | { is: 'waiting'; until: number }
  | { is: 'stopped'; reason: StopReason };

interface Closing {
  code: ErrorCode;
  message: string;
  reconnectWithin: number | undefined;
}

/** One device's connection to the service, across sockets. */
export class Connection {
  #phase: Phase = { is: 'new' };
  #effects: Effect[] = [];
  readonly #config: Config;
  readonly #backoff: Backoff;
  #identity: Identity | undefined;
  #mailboxEpoch: bigint;
  #stream: bigint;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #reads = new Reads();
  readonly #requests = new Requests();
  readonly #watching = new Watching();
  readonly #receipts = new WatchedReceipts();
  /** The cursor that the server was last told, and when. */
  #acked: number;
  #ackedAt: number | undefined;
  #persistedCursor: number;
  /** What the last `Closing` asked for. */
  #closing: Closing | undefined;
  /** Until when an attempt that was given up before its `Welcome` may still come through, and push out a later one. */
  #lateUntil = 0;
  /** A fresh token was asked for, and has not led to a `Welcome` yet. */
  #refreshed = false;

  /** Goes on from a stored state. */
  constructor(config: Config, state: State) {
    this.#config = config;
    this.#backoff = new Backoff(config.firstBackoff, config.lastBackoff);
    this.#identity = state.identity;
    this.#mailboxEpoch = state.mailboxEpoch;
    this.#stream = state.stream;
    this.#outbox = new Outbox(state.outbox, state.nextSeq);
    this.#inbox = new Inbox(state.cursor);
    this.#acked = state.cursor;
    this.#persistedCursor = state.cursor;
  }

  get stream(): bigint {
    return this.#stream;
  }

  /** Takes one input. Call `flush` after the last one of a batch. */
  handle(now: number, input: Input): void {
    if (this.#phase.is === 'stopped') return this.#handleStopped(this.#phase.reason, input);
    switch (input.type) {
      case 'start':
        if (this.#phase.is === 'new') this.#open(now);
        break;
      case 'opened':
        this.#introduce(now, input.token);
        break;
      case 'closed':
        this.#closed(now, input.code, input.reason);
        break;
      case 'cannotOpen':
        this.#stop(input.reason);
        break;
      case 'heard':
        this.#heard(now);
        break;
      case 'frame':
        this.#frame(now, input.frame);
        break;
      case 'send':
        this.#enqueue(input.send);
        break;
      case 'withdraw':
        this.#withdraw(input.key);
        break;
      case 'acknowledge':
        this.#inbox.acknowledge(input.generation, input.seq);
        break;
      case 'read':
        this.#reads.mark(input.from, input.stream, input.seq, now);
        break;
      case 'request': {
        if (input.watch) this.#watching.asked(input.id, input.watch);
        if (input.receipts) this.#receipts.asked(input.id, input.receipts);
        const failure = this.#requests.ask(input.id, input.body, now);
        if (failure) {
          this.#watching.answered(input.id, undefined, now);
          this.#receipts.answered(input.id, undefined, now);
          this.#effects.push({ type: 'answered', id: input.id, answer: { ok: false, failure } });
        }
        break;
      }
      case 'activity':
        // Nobody wants to hear of it later.
        if (this.#phase.is === 'online') this.#transmit(activityFrame(input.body));
        break;
      case 'hurry':
        if (this.#phase.is === 'waiting') this.#open(now);
        else if (this.#phase.is === 'online') this.#ping(now, this.#phase);
        break;
      case 'networkLost':
        if (this.#phase.is !== 'waiting' && this.#phase.is !== 'new') this.#broken(now, 'the network is gone');
        break;
      case 'tick':
        this.#tick(now);
        break;
      case 'stop':
        this.#flushCursor(now, true);
        this.#flushReads(now);
        this.#stop({ kind: 'closed', code: undefined, message: 'the client was closed' });
        break;
    }
  }

  /** Ends a batch of inputs: writes what the window lets go, acknowledges, and answers what is to be done. */
  flush(now: number): Effect[] {
    this.#flushCursor(now, false);
    this.#flushReads(now);
    if (this.#phase.is === 'online') {
      const write = (frame: Uint8Array) => this.#transmit(frame);
      const { sendWindow, maxFrameBytes } = this.#phase;
      this.#requests.takeDue(now, write);
      this.#watching.takeDue(now, write);
      this.#receipts.takeDue(now, write);
      for (;;) {
        const tooLarge = this.#outbox.transmit(now, sendWindow, maxFrameBytes, write);
        if (tooLarge.length === 0) break;
        const message = `the gateway takes frames of at most ${maxFrameBytes} bytes`;
        for (const seq of tooLarge) this.#fail(seq, { kind: 'refused', code: ErrorCode.TOO_LARGE, message });
      }
    }
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When `tick` is due at the latest. */
  wakeAt(): number | undefined {
    const phase = this.#phase;
    switch (phase.is) {
      case 'new':
      case 'stopped':
        return undefined;
      case 'opening':
      case 'handshake':
        return phase.deadline;
      case 'waiting':
        return phase.until;
      case 'online': {
        const unanswered = this.#outbox.oldestInFlightSince();
        return earliest([
          this.#silentAt(phase),
          unanswered === undefined ? undefined : unanswered + this.#config.answerTimeout,
          this.#acked < this.#inbox.acknowledgeable() ? (this.#ackedAt ?? 0) + this.#config.ackDelay : undefined,
          this.#outbox.wakeAt(),
          this.#reads.wakeAt(),
          this.#requests.wakeAt(),
          this.#watching.wakeAt(),
          this.#receipts.wakeAt(),
        ]);
      }
    }
  }

  /** What a reloaded page would go on from. */
  state(): State {
    return {
      identity: this.#identity,
      mailboxEpoch: this.#mailboxEpoch,
      stream: this.#stream,
      nextSeq: this.#outbox.nextSeq(),
      cursor: this.#inbox.cursor,
      outbox: this.#outbox.entries().map(([seq, entry]) => ({ ...entry.send, seq })),
    };
  }

  #handleStopped(reason: StopReason, input: Input): void {
    const failure = stopFailure(reason);
    if (input.type === 'send') {
      this.#settled({ send: input.send, restored: false }, { ok: false, id: '', failure });
    } else if (input.type === 'request') {
      this.#effects.push({ type: 'answered', id: input.id, answer: { ok: false, failure } });
    }
  }

  #tick(now: number): void {
    const phase = this.#phase;
    if (phase.is === 'waiting' && phase.until <= now) {
      this.#open(now);
    } else if ((phase.is === 'opening' || phase.is === 'handshake') && phase.deadline <= now) {
      this.#broken(now, 'the gateway does not answer');
    } else if (phase.is === 'online') {
      const oldest = this.#outbox.oldestInFlightSince();
      if (this.#silentAt(phase) <= now) {
        if (this.#config.pongTimeout === undefined || phase.pingedAt !== undefined) {
          return this.#broken(now, 'the connection has gone silent');
        }
        this.#ping(now, phase);
      }
      if (oldest !== undefined && oldest + this.#config.answerTimeout <= now)
        this.#broken(now, 'a send was not answered');
    }
  }

  /** When silence is to be asked about, or ends the connection. A timer that a browser held back asks first: the answer may wait unread. */
  #silentAt(online: Online): number {
    const { pongTimeout } = this.#config;
    // A ping comes each heartbeat; one may be late.
    if (pongTimeout === undefined) return online.lastHeard + 2 * online.heartbeat + 1000;
    return online.pingedAt === undefined ? online.lastHeard + online.heartbeat : online.pingedAt + pongTimeout;
  }

  #ping(now: number, online: Online): void {
    if (online.pingedAt !== undefined) return;
    online.pingedAt = now;
    this.#transmitFrame({ case: 'ping', value: { nonce: Math.floor(now) } });
  }

  #open(now: number): void {
    this.#closing = undefined;
    this.#phase = { is: 'opening', deadline: now + this.#config.handshakeTimeout };
    this.#effects.push({ type: 'connect' });
  }

  #introduce(now: number, token: string): void {
    if (this.#phase.is !== 'opening') return;
    const { device, appId, agent, handshakeTimeout } = this.#config;
    const hello: Hello = { version: PROTOCOL_VERSION, token, device, appId, agent };
    if (this.#stream !== 0n) {
      hello.resume = { mailboxEpoch: this.#mailboxEpoch, stream: this.#stream, cursor: this.#inbox.cursor };
    }
    // What `Resume` says counts as acknowledged, hence it is durable first.
    this.#flushCursor(now, true);
    this.#acked = this.#inbox.cursor;
    this.#transmitFrame({ case: 'hello', value: hello });
    this.#phase = { is: 'handshake', deadline: now + handshakeTimeout };
  }

  #heard(now: number): void {
    if (this.#phase.is !== 'online') return;
    this.#phase.lastHeard = now;
    this.#phase.pingedAt = undefined;
  }

  #frame(now: number, frame: ServerFrameBody): void {
    this.#heard(now);
    const phase = this.#phase.is;
    if (frame.case === 'closing') {
      const { code, message, reconnectWithinMs } = frame.value;
      this.#closing = { code, message, reconnectWithin: reconnectWithinMs };
    } else if (frame.case === 'welcome' && phase === 'handshake') {
      this.#welcome(now, frame.value);
    } else if (phase === 'online' && this.#onlineFrame(now, frame)) {
      return;
    } else if (phase === 'handshake' || phase === 'online') {
      this.#broken(now, 'the gateway sent a frame that does not belong here');
    }
    // Else: of a connection that we gave up.
  }

  /** Answers whether the frame belongs where it came. */
  #onlineFrame(now: number, frame: ServerFrameBody): boolean {
    switch (frame.case) {
      case 'accepted': {
        const { seq, sentAtMs, durability } = frame.value;
        this.#settle(seq, { ok: true, id: this.#id(seq), sentAtMs, durability });
        return true;
      }
      case 'refused':
        this.#refused(now, frame.value);
        return true;
      case 'deliver':
        this.#deliver(now, frame.value);
        return true;
      case 'transient':
        if (frame.value.envelope) this.#emit({ is: 'transient', envelope: frame.value.envelope });
        return true;
      case 'readRecorded': {
        const { from, id, code } = frame.value;
        const again = code !== 0 && nextOf(code) !== 'stop';
        const { stream, seq } = parseMessageId(id ?? '0.0');
        this.#reads.recorded(from, stream, Number(seq), again, now);
        return true;
      }
      case 'response': {
        const response = frame.value;
        if (response.id === OWN_REQUEST) {
          this.#watching.prolonged(response, now);
          return true;
        }
        if (this.#receipts.isOwn(response.id)) {
          this.#receipts.prolonged(response, now);
          return true;
        }
        const answer = this.#requests.answered(response, now);
        if (answer) {
          const said = answer.ok ? answer.response : undefined;
          this.#watching.answered(response.id, said, now);
          this.#receipts.answered(response.id, said, now);
          this.#effects.push({ type: 'answered', id: response.id, answer });
        }
        return true;
      }
      case 'presence':
        this.#emit({ is: 'presence', users: frame.value.users });
        return true;
      case 'pong':
        return true;
      default:
        return false;
    }
  }

  #welcome(now: number, welcome: Welcome): void {
    const { app, user } = welcome;
    const identity = { app, user, device: this.#config.device };
    const found = this.#identity;
    if (found && (found.app !== app || found.user !== user || found.device !== identity.device)) {
      const message = `the stored state belongs to ${nameOf(found)}, and the token is for ${nameOf(identity)}`;
      return this.#stop({ kind: 'state-of-another', code: undefined, message });
    }
    this.#identity = identity;
    this.#refreshed = false;
    const otherMailbox = this.#takeUpMailbox(welcome);
    const otherStream = this.#takeUpStream(welcome);
    if ((!found || otherMailbox || otherStream) && this.#config.persist) {
      this.#effects.push({ type: 'persist', change: { type: 'reset', state: this.state() } });
      this.#persistedCursor = this.#inbox.cursor;
    }
    // They are handed on at most once, hence never sent again.
    for (const [seq, entry] of this.#outbox.entries()) {
      if (isTransient(entry.send) && entry.maybeTransmitted) this.#fail(seq, UNKNOWN);
    }
    this.#phase = {
      is: 'online',
      since: now,
      lastHeard: now,
      pingedAt: undefined,
      heartbeat: welcome.heartbeatMs || DEFAULT_HEARTBEAT_MS,
      sendWindow: Math.min(Math.max(welcome.sendWindow, 1), LARGEST_SEND_WINDOW),
      maxFrameBytes: welcome.maxFrameBytes || Number.MAX_SAFE_INTEGER,
    };
    this.#emit({ is: 'online', welcome });
    this.#tellWhenCaughtUp();
  }

  /** Brings the inbox to where the server goes on. Answers whether the mailbox is another one. */
  #takeUpMailbox(welcome: Welcome): boolean {
    const { cursor, tail } = welcome;
    const otherMailbox = welcome.mailboxEpoch !== this.#mailboxEpoch;
    // Its end before our place: the mailbox was put back to an earlier state, and will give the numbers again.
    const putBack = this.#stream !== 0n && !otherMailbox && tail < this.#inbox.cursor;
    const { unknown } = welcome;
    if (unknown) this.#emit({ is: 'unknownRange', from: unknown.from, to: unknown.to });
    else if (putBack) this.#emit({ is: 'unknownRange', from: tail + 1, to: this.#inbox.cursor });
    if (otherMailbox || putBack) {
      this.#inbox.startOver(cursor);
      this.#mailboxEpoch = welcome.mailboxEpoch;
    }
    this.#inbox.connected(cursor, tail);
    this.#acked = this.#inbox.cursor;
    return otherMailbox || putBack;
  }

  /**
   * Goes on in the stream, or begins the new one. Answers whether it is new.
   *
   * In a new stream the server cannot know what an earlier number stood for. What was never transmitted is numbered anew; what may have been sent
   * is reported as unknown, or sent again when the caller chose so (it may double).
   */
  #takeUpStream(welcome: Welcome): boolean {
    if (welcome.stream === this.#stream) return false;
    const firstStream = this.#stream === 0n;
    const kept: Entry[] = [];
    for (const [seq, entry] of this.#outbox.takeAll()) {
      if (entry.maybeTransmitted && !firstStream && !this.#config.resendUnknown) {
        this.#settled(entry, { ok: false, id: this.#id(seq), failure: UNKNOWN });
      } else {
        kept.push(entry);
      }
    }
    this.#stream = welcome.stream;
    this.#emit({ is: 'newStream', stream: this.#stream });
    for (const { send, restored } of kept) {
      this.#effects.push({ type: 'numbered', key: send.key, id: this.#id(this.#outbox.nextSeq()) });
      this.#outbox.push(send, restored);
    }
    return true;
  }

  #refused(now: number, refused: Refused): void {
    const { seq, code, message, retryAfterMs } = refused;
    const entry = this.#outbox.get(seq);
    if (!entry) return;
    if (isTransient(entry.send) && code === ErrorCode.OUTCOME_UNKNOWN) return this.#fail(seq, UNKNOWN);
    if (retryAfterMs !== undefined || nextOf(code) !== 'stop') {
      return this.#outbox.retry(seq, now, retryAfterMs, code === ErrorCode.OUT_OF_ORDER);
    }
    // A superseded stream tells nothing about an earlier attempt.
    const triedBefore = entry.attempts > 1 || entry.restored;
    const unknown = code === ErrorCode.STREAM_SUPERSEDED && triedBefore;
    this.#fail(seq, unknown ? UNKNOWN : { kind: 'refused', code, message });
  }

  #deliver(now: number, deliver: Deliver): void {
    const { seq, after } = deliver;
    const arrival = this.#inbox.arrive(seq, after);
    if (arrival === 'gap') return this.#broken(now, 'a delivery is missing');
    if (arrival === 'new') {
      this.#emit({ is: 'delivery', generation: this.#inbox.generation, seq, envelope: deliver.envelope });
    }
    this.#tellWhenCaughtUp();
  }

  #tellWhenCaughtUp(): void {
    if (this.#inbox.caughtUp()) this.#emit({ is: 'caughtUp' });
  }

  /** The socket ended. A close code outranks what `Closing` said, except where the connection just broke. */
  #closed(now: number, code: number | undefined, reason: string): void {
    if (this.#phase.is === 'waiting' || this.#phase.is === 'new') return;
    const closing = this.#closing;
    this.#closing = undefined;
    const closeCode = code !== undefined && code >= 4000 ? code : undefined;
    const comesBack =
      closeCode !== undefined
        ? reconnects(closeCode)
        : !closing || closing.reconnectWithin !== undefined || nextOf(closing.code) !== 'stop';
    const error = (closeCode === undefined ? undefined : errorOf(closeCode)) ?? closing?.code;
    const message = closing?.message ?? reason;
    // By an earlier attempt of our own, perhaps: then nobody else has the device.
    const byOurselves = error === ErrorCode.SESSION_SUPERSEDED && now < this.#lateUntil;
    if (comesBack || byOurselves) return this.#wait(now, closing?.reconnectWithin, error, message);
    if (error === ErrorCode.TOKEN_EXPIRED && this.#config.refreshToken && !this.#refreshed) {
      this.#refreshed = true;
      this.#effects.push({ type: 'refreshToken' });
      return this.#wait(now, 0, error, message);
    }
    this.#stop({ kind: 'refused', code: error, message: message || `closed by the server with code ${closeCode}` });
  }

  /** We end the connection ourselves, and come back. */
  #broken(now: number, reason: string): void {
    this.#effects.push({ type: 'disconnect' });
    this.#wait(now, undefined, undefined, reason);
  }

  #wait(now: number, within: number | undefined, code: ErrorCode | undefined, reason: string): void {
    const { stableAfter, random } = this.#config;
    if (this.#phase.is === 'online' && this.#phase.since + stableAfter <= now) this.#backoff.reset();
    if (this.#phase.is === 'handshake') this.#lateUntil = now + LATE_MS;
    const retryInMs = within === undefined ? this.#backoff.next(random) : randomUpTo(within, random);
    this.#outbox.disconnected();
    this.#reads.disconnected();
    this.#requests.disconnected();
    this.#watching.disconnected();
    this.#receipts.disconnected();
    this.#phase = { is: 'waiting', until: now + retryInMs };
    this.#emit({ is: 'offline', retryInMs, code, reason });
  }

  #enqueue(send: Outgoing): void {
    const seq = this.#outbox.nextSeq();
    if (this.#config.persist)
      this.#effects.push({ type: 'persist', change: { type: 'enqueued', send: { ...send, seq } } });
    if (this.#stream !== 0n) this.#effects.push({ type: 'numbered', key: send.key, id: this.#id(seq) });
    this.#outbox.push(send);
  }

  #withdraw(key: string): void {
    const withdrawn = this.#outbox.withdraw(key);
    if (!withdrawn) return;
    const [seq, entry] = withdrawn;
    const failure: Failure = { kind: 'withdrawn', code: undefined, message: 'withdrawn before it was sent' };
    this.#finish(seq, entry, { ok: false, id: this.#id(seq), failure });
  }

  #flushReads(now: number): void {
    if (this.#phase.is !== 'online') return;
    this.#reads.takeDue(now, (from, stream, seq) => {
      this.#transmitFrame({ case: 'read', value: { from, id: formatMessageId({ stream, seq }) } });
    });
  }

  /** Persists the cursor, and tells the server when it is due or `atOnce`. */
  #flushCursor(now: number, atOnce: boolean): void {
    const { cursor } = this.#inbox;
    const online = this.#phase.is === 'online';
    const due = !online || atOnce || this.#ackedAt === undefined || this.#ackedAt + this.#config.ackDelay <= now;
    if (!due) return;
    if (this.#config.persist && cursor > this.#persistedCursor) {
      this.#persistedCursor = cursor;
      this.#effects.push({ type: 'persist', change: { type: 'cursor', cursor } });
    }
    const acknowledgeable = this.#inbox.acknowledgeable();
    if (online && acknowledgeable > this.#acked) {
      this.#acked = acknowledgeable;
      this.#ackedAt = now;
      this.#transmitFrame({ case: 'ack', value: { cursor: acknowledgeable } });
    }
  }

  #fail(seq: number, failure: Failure): void {
    this.#settle(seq, { ok: false, id: this.#id(seq), failure });
  }

  #settle(seq: number, result: Result): void {
    const entry = this.#outbox.answered(seq);
    if (entry) this.#finish(seq, entry, result);
  }

  #finish(seq: number, entry: Entry, result: Result): void {
    const { key } = entry.send;
    if (this.#config.persist) this.#effects.push({ type: 'persist', change: { type: 'answered', seq, key, result } });
    this.#settled(entry, result);
  }

  #settled({ send, restored }: { send: Outgoing; restored: boolean }, result: Result): void {
    this.#effects.push({ type: 'settled', send, restored, result });
  }

  #stop(reason: StopReason): void {
    this.#effects.push({ type: 'disconnect' });
    const failure = stopFailure(reason);
    for (const [seq, entry] of this.#outbox.takeAll()) {
      this.#settled(entry, { ok: false, id: this.#id(seq), failure });
    }
    for (const id of this.#requests.takeAll())
      this.#effects.push({ type: 'answered', id, answer: { ok: false, failure } });
    this.#phase = { is: 'stopped', reason };
    this.#effects.push({ type: 'stopped', reason });
  }

  #id(seq: number): string {
    return this.#stream === 0n ? '' : formatMessageId({ stream: this.#stream, seq });
  }

  #emit(emit: Emit): void {
    this.#effects.push({ type: 'emit', emit });
  }

  #transmit(frame: Uint8Array): void {
    this.#effects.push({ type: 'transmit', frame });
  }

  #transmitFrame(frame: ClientFrameBody): void {
    this.#transmit(encodeFrame(frame));
  }
}

const UNKNOWN: Failure = {
  kind: 'unknown',
  code: undefined,
  message: 'no answer came, and none can come any more: the message may or may not have been sent',
};

function stopFailure(reason: StopReason): Failure {
  return { kind: 'stopped', code: reason.code, message: `the client stopped before an answer came: ${reason.message}` };
}

function nameOf(identity: Identity): string {
  return `${identity.app}/${identity.user}/${identity.device}`;
}
