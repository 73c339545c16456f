// What goes into the state machine, and what comes out of it.
import type { Failure } from '../errors.js';
import type { UserPresence, Welcome } from '../gen/tidings/client/v1/client_pb.js';
import type { ErrorCode } from '../gen/tidings/errors/v1/errors_pb.js';
import type { Envelope } from '../gen/tidings/message/v1/message_pb.js';
import type { ServerFrameBody } from './codec.js';
import type { ReceiptsAsked } from './receipts.js';
import type { Answer } from './requests.js';
import type { Outgoing, Result, StateChange } from './state.js';

/** Why the client stopped for good. */
export interface StopReason {
  /** `closed`: by the application; `refused`: by the server; `state-of-another`: the stored state is of another user; `store`, `token`: they do not work. */
  kind: 'closed' | 'refused' | 'state-of-another' | 'store' | 'token';
  code: ErrorCode | undefined;
  message: string;
}

export type Input =
  /** Begin to connect. */
  | { type: 'start' }
  /** The WebSocket is open; the token to introduce ourselves with. */
  | { type: 'opened'; token: string }
  /** The connection did not come about, or broke, or was closed with a code. */
  | { type: 'closed'; code: number | undefined; reason: string }
  /** No connection can ever be made. */
  | { type: 'cannotOpen'; reason: StopReason }
  /** Anything was heard from the server that is no frame. */
  | { type: 'heard' }
  | { type: 'frame'; frame: ServerFrameBody }
  | { type: 'send'; send: Outgoing }
  /** The application does not want a message to be sent any more. */
  | { type: 'withdraw'; key: string }
  /** The application dealt with an entry; both numbers as the delivery carried them. */
  | { type: 'acknowledge'; generation: number; seq: number }
  | { type: 'read'; from: string; stream: bigint; seq: number }
  /** The application asks something under a number never used before; `watch`: whom to watch, `receipts`: of which group, if it is for that. */
  | {
      type: 'request';
      id: bigint;
      body: Uint8Array;
      watch?: readonly string[] | undefined;
      receipts?: ReceiptsAsked | undefined;
    }
  /** An encoded `Activity`. */
  | { type: 'activity'; body: Uint8Array }
  /** The network came back, or the page is looked at again: now is a good moment. */
  | { type: 'hurry' }
  /** The network is gone. */
  | { type: 'networkLost' }
  /** The time of `wakeAt` has come. */
  | { type: 'tick' }
  /** The application closes the client. */
  | { type: 'stop' };

export type Effect =
  /** Make the change durable before any effect of the batch that is no `persist`. */
  | { type: 'persist'; change: StateChange }
  /** Get a token and open a WebSocket. */
  | { type: 'connect' }
  /** The token is not taken any more: the next attempt needs another one. */
  | { type: 'refreshToken' }
  /** Write a binary message. */
  | { type: 'transmit'; frame: Uint8Array }
  /** Drop the WebSocket, or the attempt to open it. */
  | { type: 'disconnect' }
  /** A message got its id (or another one: only what was never transmitted is numbered anew). */
  | { type: 'numbered'; key: string; id: string }
  /** A message came to its end, or to `sent`. */
  | { type: 'settled'; send: Outgoing; restored: boolean; result: Result }
  | { type: 'answered'; id: bigint; answer: Answer }
  | { type: 'emit'; emit: Emit }
  /** Nothing will happen any more. */
  | { type: 'stopped'; reason: StopReason };

/** What the application is told. */
export type Emit =
  /** Attached to the mailbox. */
  | { is: 'online'; welcome: Welcome }
  /** Not attached; the next attempt follows after this time. */
  | { is: 'offline'; retryInMs: number; code: ErrorCode | undefined; reason: string }
  /** An entry of the mailbox, once. */
  | { is: 'delivery'; generation: number; seq: number; envelope: Envelope | undefined }
  | { is: 'transient'; envelope: Envelope }
  | { is: 'presence'; users: UserPresence[] }
  /** Entries from the first to the second number were lost to this device (promise 4). */
  | { is: 'unknownRange'; from: number; to: number }
  | { is: 'caughtUp' }
  /** The device sends in another stream now: watermarks of the earlier one will not come. */
  | { is: 'newStream'; stream: bigint };

export type { Failure };
