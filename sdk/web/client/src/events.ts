import type { ErrorCode } from './gen/tidings/errors/v1/errors_pb.js';
import type { Activity, Change, Conversation, GroupEvent, GroupReceipt, Message, UserPresence } from './model.js';

/**
 * - `idle`: `connect()` was not called, or the client was closed.
 * - `connecting`: an attempt is under way.
 * - `connected`: attached to the mailbox.
 * - `waiting`: not connected; the next attempt is made at `retryAt` by itself.
 * - `stopped`: it will not come back by itself; `reason` and `error` say why. `connect()` tries again.
 */
export type ConnectionState = 'idle' | 'connecting' | 'connected' | 'waiting' | 'stopped';

export interface StateChanged {
  state: ConnectionState;
  /** Who the token speaks for, once it is known. */
  user: string | undefined;
  app: string | undefined;
  /** Why it is `waiting` or `stopped`, where the server said so. */
  reason: ErrorCode | undefined;
  /** The same for people; English. */
  error: string | undefined;
  /** Of `waiting`: when the next attempt is made, Unix ms. */
  retryAt: number | undefined;
}

export interface MessageReceived {
  message: Message;
  /** Its number in this user's mailbox, rising; 0 of a transient message, which no mailbox holds. */
  mailboxSeq: number;
  /** Of a group: this device sent it itself, and gets it back with its place in the group's order. */
  echo: boolean;
  transient: boolean;
}

export interface MessageSent {
  /** As it is so far: before it is accepted `sentAtMs` is the time of this device, and `id` may still be empty. */
  message: Message;
  /** As in `Sending.key`, when a tab of this device sent it; undefined: another device of this user did. */
  key: string | undefined;
}

export interface StatusChanged {
  status: 'sent' | 'delivered' | 'read' | 'failed';
  /** The message; with `upTo` also everything before it in the same stream to the same user ({@link isUpTo}). */
  id: string;
  upTo: boolean;
  /** The user or group that it went to. */
  to: string;
  group: string;
  /** As in `Sending.key`, of `sent` and `failed` of this device's own messages. */
  key: string | undefined;
  /** When; Unix ms. */
  atMs: number;
  /** Of `failed`. */
  reason: ErrorCode | undefined;
  error: string | undefined;
}

export interface MessageChanged {
  change: Change;
  mailboxSeq: number;
}

/** Everything that happens, by name. A handler is given one object; what it returns is awaited before the entry counts as handled. */
export interface ClientEvents {
  stateChanged: StateChanged;
  messageReceived: MessageReceived;
  messageSent: MessageSent;
  statusChanged: StatusChanged;
  messageChanged: MessageChanged;
  groupEventReceived: { event: GroupEvent; mailboxSeq: number };
  conversationUpdated: { conversation: Conversation };
  presenceChanged: { users: UserPresence[] };
  activityReceived: { activity: Activity };
  /** Of a group that is watched ({@link Groups.watchReceipts}): how far this user's messages there have come. Each says all of it. */
  groupReceiptReceived: { receipt: GroupReceipt };
  /** Entries of the mailbox from the first to the last of these numbers were lost to this device (promise 4): reload what is shown. */
  continuityLost: { from: number; to: number };
  /** Everything that waited when the connection came up has been delivered. */
  caughtUp: Record<string, never>;
}

export type EventName = keyof ClientEvents;
export type Handler<N extends EventName> = (context: ClientEvents[N]) => void | Promise<void>;

/** Handlers by event. One that fails is reported to the page, and keeps no other from being called. */
export class Emitter {
  readonly #handlers = new Map<EventName, Set<Handler<never>>>();

  on<N extends EventName>(event: N, handler: Handler<N>): () => void {
    const of = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, of);
    // Its own object, so that the same function twice is two subscriptions.
    const own: Handler<N> = (context) => handler(context);
    of.add(own as Handler<never>);
    return () => of.delete(own as Handler<never>);
  }

  /** Resolves when all handlers are through. */
  async emit<N extends EventName>(event: N, context: ClientEvents[N]): Promise<void> {
    const running: Promise<void>[] = [];
    for (const handler of [...(this.#handlers.get(event) ?? [])]) {
      try {
        const returned = (handler as unknown as Handler<N>)(context);
        if (returned) running.push(returned.catch(report));
      } catch (error) {
        report(error);
      }
    }
    if (running.length > 0) await Promise.all(running);
  }
}

function report(error: unknown): void {
  if (typeof reportError === 'function') reportError(error);
  else queueMicrotask(() => Promise.reject(error));
}
