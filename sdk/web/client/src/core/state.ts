// What a device keeps so that a crash or a reload neither loses nor doubles anything: its stream and the numbers given in it, the
// messages without an answer, and its place in the mailbox.
import type { Failure } from '../errors.js';

/** A message as the application gave it, encoded. */
export interface Outgoing {
  /** The application's name of it, on this device. */
  key: string;
  /** One of the two is empty. */
  to: string;
  group: string;
  /** An encoded `Content`; empty where it has a change. */
  content: Uint8Array;
  /** An encoded `Change`; empty: it has content. */
  change: Uint8Array;
  /** An encoded `Disappearance`. */
  disappears: Uint8Array | undefined;
  /** As in `Send.ttl_ms`. */
  ttlMs: number | undefined;
  /** As in `Send.receipts`. */
  receipts: number;
  /** As in `Send.conflation_key`. */
  conflationKey?: string | undefined;
  /** When the application sent it, by this device's clock. */
  atMs: number;
}

/** A message without an answer, and its number in the stream. */
export interface StoredSend extends Outgoing {
  seq: number;
}

/** Whose state it is: the outbox of one user must never go out under another's name. */
export interface Identity {
  app: string;
  user: string;
  device: string;
}

export interface State {
  /** Unset until the first `Welcome`. */
  identity: Identity | undefined;
  mailboxEpoch: bigint;
  /** 0 until the first `Welcome`. */
  stream: bigint;
  /** The number that the next message gets. */
  nextSeq: number;
  /** Everything up to here was dealt with by the application. */
  cursor: number;
  /** Rising by number. */
  outbox: StoredSend[];
}

export function emptyState(): State {
  return { identity: undefined, mailboxEpoch: 0n, stream: 0n, nextSeq: 1, cursor: 0, outbox: [] };
}

/** How a message ended. */
export type Result =
  | { ok: true; id: string; sentAtMs: number; durability: number }
  | { ok: false; id: string; failure: Failure };

export type StateChange =
  /** The whole of it is new: a first connection, or another stream. */
  | { type: 'reset'; state: State }
  /** The application sent a message; it takes the next number. */
  | { type: 'enqueued'; send: StoredSend }
  /** A message has its answer. */
  | { type: 'answered'; seq: number; key: string; result: Result }
  /** The application dealt with everything up to here. */
  | { type: 'cursor'; cursor: number };
