import type {
  Activity,
  Change,
  ChangeKind,
  Conversation,
  GroupEvent,
  GroupReceipt,
  GroupState,
  HistoryMessage,
  Member,
  Message,
  StateChanged,
  StatusChanged,
  UserPresence,
} from '@tidings/client';
import type { ConversationKey, FileView, MessageView, Names } from '../model.js';
import type { Mark, Summary } from './state.js';
import type { Direction } from './timeline.js';

export interface ChangeHere {
  readonly kind: ChangeKind;
  readonly emoji?: string;
  readonly off?: boolean;
}

/** All that can happen to the state: what the client told, what a request answered, and what the user did here. */
export type Happened =
  | { readonly type: 'connection'; readonly change: StateChanged }
  | { readonly type: 'caughtUp' }
  | { readonly type: 'received'; readonly message: Message; readonly echo: boolean }
  /** Own messages: in the outbox, or sent by another device. `key` names it here. */
  | { readonly type: 'sent'; readonly message: Message; readonly key: string | undefined; readonly pending: boolean }
  | { readonly type: 'status'; readonly change: StatusChanged; readonly reason: string }
  | { readonly type: 'changed'; readonly change: Change }
  | { readonly type: 'groupEvent'; readonly event: GroupEvent }
  | { readonly type: 'conversation'; readonly conversation: Conversation }
  | { readonly type: 'presence'; readonly users: readonly UserPresence[] }
  | { readonly type: 'activity'; readonly activity: Activity; readonly now: number }
  | { readonly type: 'fade'; readonly now: number }
  | { readonly type: 'lost'; readonly now: number }
  | { readonly type: 'disappeared'; readonly now: number }
  | { readonly type: 'conversations'; readonly conversations: readonly Conversation[] }
  | { readonly type: 'loading'; readonly key: ConversationKey; readonly loading: boolean }
  | {
      readonly type: 'page';
      readonly key: ConversationKey;
      readonly messages: readonly HistoryMessage[];
      readonly more: boolean;
      readonly direction: Direction;
    }
  /** Of a group: what its newest page says of what is unread; `readTo` as this device kept it, undefined when it kept nothing. */
  | {
      readonly type: 'groupNewest';
      readonly group: string;
      readonly messages: readonly HistoryMessage[];
      readonly readTo: number | undefined;
    }
  | { readonly type: 'group'; readonly state: GroupState; readonly names: Names }
  | {
      readonly type: 'members';
      readonly group: string;
      readonly members: readonly Member[];
      readonly first: boolean;
      readonly names: Names;
    }
  | { readonly type: 'groupGone'; readonly group: string }
  | { readonly type: 'groupReceipt'; readonly receipt: GroupReceipt }
  /** The list as this device saw it last. */
  | { readonly type: 'restored'; readonly summaries: readonly Summary[] }
  /** The server has told of all conversations and groups. */
  | { readonly type: 'listed' }
  | { readonly type: 'marks'; readonly marks: ReadonlyMap<string, Mark> }
  | { readonly type: 'opened'; readonly key: ConversationKey | undefined }
  | { readonly type: 'read'; readonly key: ConversationKey; readonly place: number | undefined }
  | { readonly type: 'draft'; readonly key: ConversationKey; readonly text: string }
  | { readonly type: 'composed'; readonly key: ConversationKey; readonly message: MessageView }
  | {
      readonly type: 'file';
      readonly key: ConversationKey;
      readonly message: string;
      readonly file: string;
      readonly change: Partial<FileView>;
    }
  | { readonly type: 'failed'; readonly key: ConversationKey; readonly message: string; readonly reason: string }
  /** The user changed a message here: it is shown before the server has it, and put back when it will not have it. */
  | {
      readonly type: 'changedHere';
      readonly key: ConversationKey;
      readonly message: string;
      readonly change: ChangeHere;
      readonly edited: Partial<MessageView> | undefined;
    }
  | {
      readonly type: 'undone';
      readonly key: ConversationKey;
      readonly message: MessageView;
      readonly change: ChangeHere;
      readonly reason: string;
    }
  | { readonly type: 'removed'; readonly key: ConversationKey; readonly message: string };
