// What an application sees, as plain data. The fields are those of proto/tidings/{message,client,group}/v1, and documented there and in
// docs/protocol.md; times are Unix milliseconds.
import type { Content } from './gen/tidings/message/v1/message_pb.js';

export {
  Durability,
  type FoundMessage,
  type GroupReceipts,
  type GroupState,
  type HistoryMessage,
  type HistoryPage,
  type ReceiptTimes,
  type UserPresence,
  UserPresence_State as PresenceState,
} from './gen/tidings/client/v1/client_pb.js';
export { ErrorCode } from './gen/tidings/errors/v1/errors_pb.js';
export { type Group, Kind as GroupKind, type Member, Permission, Role } from './gen/tidings/group/v1/group_pb.js';
export {
  type Activity,
  Activity_Kind as ActivityKind,
  type Attachment,
  Block,
  type Change,
  Change_Kind as ChangeKind,
  type Content,
  type Conversation,
  type Disappearance,
  Disappearance_Start as DisappearanceStart,
  type FieldValue,
  type GroupEvent,
  GroupEvent_Kind as GroupEventKind,
  type GroupMemberReceipt,
  type GroupMessageReceipt,
  type GroupReceipt,
  type Location,
  type Mention,
  type Message,
  MessageState,
  type Poll,
  type PollOption,
  Priority,
  type Reaction,
  ReceiptRequest,
} from './gen/tidings/message/v1/message_pb.js';

import type { Durability } from './gen/tidings/client/v1/client_pb.js';

/** The same with every field left out that has nothing to say. */
export type Init<T> = T extends Uint8Array
  ? Uint8Array
  : T extends readonly (infer U)[]
    ? readonly Init<U>[]
    : T extends object
      ? { [K in keyof T]?: Init<T[K]> | undefined }
      : T;

/** What a message says, as an application gives it. */
export type ContentInit = Init<Content>;

/** One of this user's devices: the stream that it sends in, as in ids of messages, and how far it has the mailbox. */
export interface Device {
  device: string;
  stream: string;
  cursor: number;
}

/** Of a list: what came, and what to ask the next page with; undefined when there are no more. */
export interface Page<T, Token> {
  items: T[];
  next: Token | undefined;
}

/** The message is `sent`: accepted and durable, unless it was transient. */
export interface Accepted {
  id: string;
  sentAtMs: number;
  durability: Durability;
}
