/** What the elements show: plain data, that a store, or any page, can make. */

/** A conversation's name in the store: `u/` and a user, or `g/` and a group. */
export type ConversationKey = string;

export type Peer = { readonly user: string } | { readonly group: string };

export function keyOf(peer: Peer): ConversationKey {
  return 'user' in peer ? `u/${peer.user}` : `g/${peer.group}`;
}

export function peerOf(key: ConversationKey): Peer {
  return key.startsWith('g/') ? { group: key.slice(2) } : { user: key.slice(2) };
}

export type Status = 'sending' | 'sent' | 'delivered' | 'read' | 'failed';

export interface Reaction {
  readonly emoji: string;
  readonly from: string;
}

export interface Picture {
  readonly width: number;
  readonly height: number;
}

export interface FileView {
  /** Names the file; what `files` of the view is asked with. */
  readonly id: string;
  readonly name: string;
  readonly mediaType: string;
  /** Bytes. */
  readonly size: number;
  /** A small picture: a `blob:` or `data:` address. */
  readonly thumbnail?: string | undefined;
  readonly picture?: Picture | undefined;
  /** While it is uploaded: 0 to 1. */
  readonly progress?: number | undefined;
  /** Where the whole is, once known. */
  readonly address?: string | undefined;
  /** What a store made it from. */
  readonly source?: unknown;
}

export interface MentionView {
  /** Empty: everybody. */
  readonly user: string;
  /** In UTF-16 units of the text, as in `String.slice`. */
  readonly start: number;
  readonly end: number;
}

export interface PollView {
  readonly question: string;
  readonly options: readonly { readonly id: string; readonly text: string }[];
  readonly choices: number;
  readonly closesAt: number;
}

export interface PlaceView {
  /** Degrees. */
  readonly latitude: number;
  readonly longitude: number;
}

export interface MessageView {
  /** Stays the same for as long as the message is shown, also when it is sent. */
  readonly key: string;
  /** The message's id, `<stream>.<seq>`. */
  readonly id: string;
  readonly from: string;
  readonly mine: boolean;
  /** Unix milliseconds. */
  readonly at: number;
  readonly text: string;
  readonly title?: string | undefined;
  /** Its place in the conversation's history, where known. */
  readonly place?: number | undefined;
  readonly status?: Status | undefined;
  /** Why it failed, for people. */
  readonly reason?: string | undefined;
  readonly replyTo?: string | undefined;
  readonly forwarded?: boolean | undefined;
  readonly editedAt?: number | undefined;
  readonly gone?: 'recalled' | 'wiped' | undefined;
  readonly pinned?: boolean | undefined;
  /** When that was said last. */
  readonly pinnedAt?: number | undefined;
  readonly disappearsAt?: number | undefined;
  readonly reactions: readonly Reaction[];
  readonly files: readonly FileView[];
  readonly mentions: readonly MentionView[];
  readonly poll?: PollView | undefined;
  readonly location?: PlaceView | undefined;
  /** Not said by a person: something that happened, a line in the middle. */
  readonly event?: EventView | undefined;
}

export type EventKind = 'created' | 'joined' | 'left' | 'removed' | 'changed' | 'settings' | 'deleted' | 'lost';

export interface EventView {
  readonly kind: EventKind;
  readonly users: readonly string[];
  readonly by: string;
}

export interface PresenceView {
  readonly state: 'online' | 'offline' | 'unknown';
  /** Unix milliseconds, rounded; 0: not known. */
  readonly lastSeen: number;
}

export interface ConversationView {
  readonly key: ConversationKey;
  readonly peer: Peer;
  readonly name: string;
  readonly last?: MessageView | undefined;
  readonly lastAt: number;
  readonly unread: number;
  readonly mentioned?: boolean | undefined;
  readonly markedUnread: boolean;
  /** Unix milliseconds; 0: not muted. */
  readonly mutedUntil: number;
  readonly archived: boolean;
  readonly favourite: boolean;
  /** The other is among the user's contacts; never in a group. */
  readonly contact: boolean;
  readonly blocked: boolean;
  /** Who is writing just now. */
  readonly typing: readonly string[];
  readonly presence?: PresenceView | undefined;
  readonly draft?: string | undefined;
}

export type Role = 'member' | 'admin' | 'owner';

export interface MemberView {
  readonly user: string;
  readonly name: string;
  readonly role: Role;
  readonly presence?: PresenceView | undefined;
}

export interface GroupView {
  readonly id: string;
  readonly name: string;
  readonly kind: 'normal' | 'announcement' | 'listeners' | 'hunt';
  readonly paused: boolean;
  readonly count: number;
  readonly me: MemberView;
  readonly may: {
    readonly send: boolean;
    readonly list: boolean;
    readonly add: boolean;
    readonly remove: boolean;
    readonly manage: boolean;
  };
  readonly members: readonly MemberView[];
}

/** What a user is called. */
export type Names = (user: string) => string;

export function same(a: MessageView | undefined, b: MessageView | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.key === b.key);
}
