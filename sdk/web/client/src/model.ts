// What an application sees, as plain data. The fields are those of proto/tidings/{message,client,group}/v1, documented there and
// in docs/protocol.md; times are Unix milliseconds.
import type * as client from './gen/tidings/client/v1/client_pb.js';
import type * as group from './gen/tidings/group/v1/group_pb.js';
import type * as message from './gen/tidings/message/v1/message_pb.js';
import type { Init, Plain } from './plain.js';

export { Durability, UserPresence_State as PresenceState } from './gen/tidings/client/v1/client_pb.js';
export { ErrorCode } from './gen/tidings/errors/v1/errors_pb.js';
export { Kind as GroupKind, Permission, Role } from './gen/tidings/group/v1/group_pb.js';
export {
  Activity_Kind as ActivityKind,
  Block,
  Change_Kind as ChangeKind,
  Disappearance_Start as DisappearanceStart,
  GroupEvent_Kind as GroupEventKind,
  Priority,
  ReceiptRequest,
} from './gen/tidings/message/v1/message_pb.js';

/** What a message says. */
export interface Content extends Plain<message.Content> {}
/** The same, as an application gives it: every field may be left out. */
export interface ContentInit extends Init<message.Content> {}
/** A file that goes with a message. */
export interface Attachment extends Plain<message.Attachment> {}
/** A message of a conversation or group. */
export interface Message extends Plain<message.Message> {}
/** Something about an earlier message that is different from now on. */
export interface Change extends Plain<message.Change> {}
export interface Reaction extends Plain<message.Reaction> {}
export interface Conversation extends Plain<message.Conversation> {}
export interface Activity extends Plain<message.Activity> {}
/** Something that changed in a group, at its place in the group's order. */
export interface GroupEvent extends Plain<message.GroupEvent> {}
export interface UserPresence extends Plain<client.UserPresence> {}
export interface Disappearance extends Plain<message.Disappearance> {}
export interface Group extends Plain<group.Group> {}
export interface Member extends Plain<group.Member> {}
/** A group, and those members whom the call was about. */
export interface GroupState extends Plain<client.GroupState> {}
/** How far a message to a group has come. */
export interface GroupReceipts extends Plain<client.GroupReceipts> {}
/** One of this user's devices: the stream that it sends in, as in ids of messages, and how far it has the mailbox. */
export interface Device {
  device: string;
  stream: string;
  cursor: number;
}

/** A message of the history, and its place there: what `before` and `after` of the next page name. */
export interface HistoryMessage extends Plain<client.HistoryMessage> {}
export interface HistoryPage extends Plain<client.HistoryPage> {}
/** A message that was found, and the conversation in which it stands. */
export interface FoundMessage extends Plain<client.FoundMessage> {}

/** Of a list: what came, and what to ask the next page with; none when there are no more. */
export interface Page<T, Token> {
  items: T[];
  next: Token | undefined;
}

/** The message is `sent`: accepted and durable, unless it was transient. */
export interface Accepted {
  id: string;
  sentAtMs: number;
  durability: client.Durability;
}
