import { Conversations } from './conversations.js';
import type { Outgoing } from './core/state.js';
import { TidingsError } from './errors.js';
import { Emitter, type EventName, type Handler, type StateChanged } from './events.js';
import { Files } from './files/files.js';
import {
  ActivitySchema,
  Change_Kind,
  ChangeSchema,
  ContentSchema,
  DisappearanceSchema,
} from './gen/tidings/message/v1/message_pb.js';
import { Groups } from './groups.js';
import { History, type SearchQuery } from './history.js';
import { parseMessageId } from './message-id.js';
import type {
  Accepted,
  ActivityKind,
  ContentInit,
  Device,
  DisappearanceStart,
  FoundMessage,
  Page,
  ReceiptRequest,
} from './model.js';
import type { ClientOptions } from './options.js';
import { ask, type CallOptions } from './requests.js';
import type { Sending } from './sending.js';
import type { Pending } from './shell/engine.js';
import { browserEnvironment, type Environment, randomName } from './shell/environment.js';
import { Hub } from './shell/hub.js';
import { Tokens } from './shell/token.js';
import { encode } from './wire.js';

/** Whom a message is for: a user, or the members of a group. */
export type Target = { to: string; group?: undefined } | { group: string; to?: undefined };

export interface SendOptions {
  /** Withdraws it while the server cannot have it yet (`sent` rejects with `withdrawn`); afterwards it has no effect. */
  signal?: AbortSignal | undefined;
}

export type SendInit = Target &
  SendOptions & {
    /** Short for `content: { text }`. */
    text?: string;
    /** At most 64 KiB, encoded (or as the user's policy says). */
    content?: ContentInit;
    /** Short for `content: { replyTo }`: the id of a message. */
    replyTo?: string | undefined;
    /** Milliseconds from acceptance to the last moment of delivery; unset: as long as mailboxes keep it. 0: only to devices that are online now, stored nowhere. */
    ttlMs?: number | undefined;
    /** With `ttlMs` 0: for a connection that lags only the newest message of a key is kept; at most 64 bytes. For prices, positions and the like. */
    conflationKey?: string | undefined;
    /** Which receipts to ask for; both by default. */
    receipts?: ReceiptRequest;
    /**
     * Names it on this device, 1 to 64 characters; default: a random name. What is given again under the name of a message in the outbox, or of one of the last
     * 512 that ended, is not sent again: `sent` ends as that one does.
     */
    key?: string | undefined;
    /** Takes it out of both histories so long after it was sent, delivered or read. */
    disappears?: { afterMs: number; from?: DisappearanceStart };
  };

/**
 * One user's connection to Tidings, shared by the tabs of the same account.
 *
 * Messages go through an outbox in the browser's storage: what was given to `send` goes out once, whatever happens to the page. What comes is told by
 * events, each entry of the mailbox once; see {@link ClientEvents}.
 */
export class Client {
  readonly history: History;
  readonly conversations: Conversations;
  readonly groups: Groups;
  readonly files: Files;
  readonly #emitter = new Emitter();
  readonly #hub: Hub;

  /** Does not connect yet. @throws TypeError when an address is none. */
  constructor(options: ClientOptions, environment: Environment = browserEnvironment()) {
    const tokens = new Tokens(options.getToken);
    this.#hub = new Hub(options, environment, tokens, this.#emitter);
    this.history = new History(this.#hub);
    this.conversations = new Conversations(this.#hub);
    this.groups = new Groups(this.#hub);
    this.files = new Files(options, environment, tokens);
  }

  /** Where the connection stands; `stateChanged` tells of changes. */
  get state(): StateChanged {
    return this.#hub.state;
  }

  /** Begins to connect, and comes back by itself from then on. Again when it is `stopped`: with what `getToken` gives then. */
  connect(): void {
    this.#hub.start();
  }

  /** Leaves: the connection stays with another tab, or ends. What has no answer stays in the outbox. */
  close(): Promise<void> {
    return this.#hub.close();
  }

  /** Calls `handler` with what happens; answers what ends it. */
  on<N extends EventName>(event: N, handler: Handler<N>): () => void {
    return this.#emitter.on(event, handler);
  }

  /** Sends a message. Messages to one recipient arrive in the order of these calls. @throws RangeError when `replyTo` is no id, or `key` no name. */
  send(init: SendInit): Sending {
    const { text, content, replyTo, ttlMs, conflationKey, receipts, disappears, key = randomName(), signal } = init;
    if (key.length < 1 || key.length > 64) throw new RangeError('a key has 1 to 64 characters');
    const said = { ...content, ...(text !== undefined && { text }), ...(replyTo !== undefined && { replyTo }) };
    return this.#send(init, signal, {
      key,
      content: encode(ContentSchema, said),
      ttlMs,
      conflationKey,
      receipts: receipts ?? 0,
      disappears: disappears && encode(DisappearanceSchema, disappears),
    });
  }

  /** Gives a message of this user another content; within the policy's time (default 3,600 s), otherwise `TOO_LATE`. */
  edit(target: Target, id: string, content: ContentInit, options?: SendOptions): Sending {
    return this.#change(target, id, { kind: Change_Kind.EDIT, content }, options);
  }

  /** Takes a message back, as if it had not been sent. */
  recall(target: Target, id: string, options?: SendOptions): Sending {
    return this.#change(target, id, { kind: Change_Kind.RECALL }, options);
  }

  /** Takes the content of a message away; the message stays. */
  wipe(target: Target, id: string, options?: SendOptions): Sending {
    return this.#change(target, id, { kind: Change_Kind.WIPE }, options);
  }

  /** Reacts with an emoji (1 to 64 bytes; also a vote in a poll: the option's id), or takes the reaction back with `off`. */
  react(target: Target, id: string, emoji: string, options: SendOptions & { off?: boolean } = {}): Sending {
    return this.#change(target, id, { kind: Change_Kind.REACT, emoji, off: options.off ?? false }, options);
  }

  pin(target: Target, id: string, options: SendOptions & { off?: boolean } = {}): Sending {
    return this.#change(target, id, { kind: Change_Kind.PIN, off: options.off ?? false }, options);
  }

  /** What waits in the outbox, in order, also from before a reload. */
  pending(): Promise<Pending[]> {
    return this.#hub.call({ op: 'pending' });
  }

  /**
   * Everything up to a message was read: of a user, up to and including the message in its stream; of a group, up to a place of its order. Senders
   * are told as far as the policy lets it out. It is repeated by itself until it is recorded, while the page lives.
   */
  async markRead(read: { with: string; id: string } | { group: string; groupSeq: number }): Promise<void> {
    if ('group' in read) {
      const value = { group: read.group, groupSeq: read.groupSeq };
      await ask(this.#hub, { case: 'markGroupRead', value }, 'groupReadMarked');
    } else {
      parseMessageId(read.id);
      await this.#hub.call({ op: 'read', from: read.with, id: read.id });
    }
  }

  /** Tells who is online what this user is doing; at most once, stored nowhere. Repeat `TYPING` every few seconds; `data` is at most 256 bytes. */
  activity(told: Target & { kind: ActivityKind; data?: Uint8Array }): void {
    const { to = '', group = '', kind, data } = told;
    const body = encode(ActivitySchema, { to, group, kind, data });
    // Nobody wants to hear of it later.
    this.#hub.call({ op: 'activity', body }).catch(() => {});
  }

  /** Watches whether these users are online, instead of those of an earlier call of this tab; none ends it. All tabs together at most 200. It is kept up by itself. */
  watchPresence(users: readonly string[]): Promise<void> {
    return this.#hub.call({ op: 'watch', users: [...users] });
  }

  /** Searches this user's history; see {@link History.search}. */
  search(query: SearchQuery): Promise<Page<FoundMessage, Uint8Array>> {
    return this.history.search(query);
  }

  /** The devices of this user. */
  async devices(options?: CallOptions): Promise<Device[]> {
    const listed = await ask(this.#hub, { case: 'listDevices', value: {} }, 'devices', options);
    return listed.devices.map(({ device, stream, cursor }) => ({ device, stream: String(stream), cursor }));
  }

  #change(target: Target, of: string, change: object, options?: SendOptions): Sending {
    const encoded = encode(ChangeSchema, { ...change, of });
    return this.#send(target, options?.signal, { change: encoded });
  }

  #send({ to = '', group = '' }: Target, signal: AbortSignal | undefined, body: Partial<Outgoing>): Sending {
    const nothing = { content: new Uint8Array(), change: new Uint8Array(), disappears: undefined, ttlMs: undefined };
    const send: Outgoing = { key: randomName(), to, group, ...nothing, receipts: 0, atMs: Date.now(), ...body };
    const { key } = send;
    let id: string | undefined;
    let isQueued = () => {};
    let isNotQueued: (error: unknown) => void = () => {};
    const queued = new Promise<void>((resolve, reject) => {
      isQueued = resolve;
      isNotQueued = reject;
    });
    if (signal?.aborted) {
      const withdrawn = new TidingsError({
        kind: 'withdrawn',
        code: undefined,
        message: 'withdrawn before it was sent',
      });
      return silent({ key, id, queued: Promise.reject(withdrawn), sent: Promise.reject(withdrawn) });
    }
    const sent = this.#hub.call<Accepted>({ op: 'send', send }, (progress) => {
      if (progress.id) id = progress.id;
      if (progress.queued) isQueued();
    });
    const withdraw = () => void this.#hub.call({ op: 'withdraw', key }).catch(() => {});
    signal?.addEventListener('abort', withdraw, { once: true });
    sent
      .then((accepted) => {
        id = accepted.id;
        isQueued();
      }, isNotQueued)
      .finally(() => signal?.removeEventListener('abort', withdraw));
    return silent({
      key,
      get id() {
        return id;
      },
      queued,
      sent,
    });
  }
}

/** Whoever does not look at how it ends is not bothered with it; events tell it too. */
function silent(sending: Sending): Sending {
  sending.queued.catch(() => {});
  sending.sent.catch(() => {});
  return sending;
}
