import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { Conversations } from './conversations.js';
import { type ConnectionState, Emitter, type EventName, type Handler, type StateChanged } from './events.js';
import { Files } from './files/files.js';
import { ActivitySchema } from './gen/tidings/message/v1/message_pb.js';
import { Groups } from './groups.js';
import { History } from './history.js';
import type { ActivityKind, ContentInit, Device, FoundMessage, Page, ReceiptRequest } from './model.js';
import type { ClientOptions } from './options.js';
import { Outgoing, type Target } from './outgoing.js';
import { fromPlain } from './plain.js';
import { Requests } from './requests.js';
import type { Sending } from './sending.js';
import { Hub } from './shell/hub.js';
import { browserEnvironment, type Environment } from './shell/environment.js';

/** What goes with a message. */
export interface SendOptions {
  /** Milliseconds from acceptance to the last moment of delivery. 0: only to devices that are online now, stored nowhere. */
  ttlMs?: number;
  /** Which receipts to ask for; both by default. */
  receipts?: ReceiptRequest;
  /** Takes the message out of both histories after a time. */
  disappears?: { afterMs: number; from?: number };
  /** Withdraws the message while the server cannot have it yet; otherwise only ends the wait. */
  signal?: AbortSignal;
}

export type SendInit = Target & (ContentInit | { content: ContentInit }) & { text?: string } & SendOptions;
