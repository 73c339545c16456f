import {
  type Attachment,
  Block,
  type Conversation,
  ErrorCode,
  type GroupEvent,
  GroupEventKind,
  type GroupState,
  type HistoryMessage,
  type Member,
  type Message,
  MessageState,
  Permission,
  PresenceState,
  Role,
  type UserPresence,
} from '@tidings/client';
import { reasonText } from '../locale/reason.js';
import type { EventKind, FileView, GroupView, MemberView, MessageView, PresenceView, Status } from '../model.js';
import { type ConversationKey, keyOf } from '../model.js';
import { indexOfByte } from '../text/utf8.js';

const SIGNATURES: readonly [string, readonly number[]][] = [
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['image/webp', [0x52, 0x49, 0x46, 0x46]],
];

/** A thumbnail as an address, if it begins as one of the kinds that the protocol allows. */
export function thumbnailOf(bytes: Uint8Array | undefined): string | undefined {
  if (!bytes || bytes.length < 12 || bytes.length > 16_384) return undefined;
  const kind = SIGNATURES.find(([, signature]) => signature.every((byte, index) => bytes[index] === byte))?.[0];
  if (!kind) return undefined;
  let binary = '';
  for (let at = 0; at < bytes.length; at += 4096) binary += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return `data:${kind};base64,${btoa(binary)}`;
}

export function fileOf(attachment: Attachment): FileView {
  return {
    id: attachment.file || attachment.url,
    name: attachment.name || 'file',
    mediaType: attachment.mediaType || 'application/octet-stream',
    size: attachment.size,
    thumbnail: thumbnailOf(attachment.thumbnail),
    picture:
      attachment.width > 0 && attachment.height > 0
        ? { width: attachment.width, height: attachment.height }
        : undefined,
    source: attachment,
  };
}

/** Whose conversation a message belongs to, as `me` sees it. */
export function conversationOf(message: { from: string; to: string; group: string }, me: string): ConversationKey {
  if (message.group) return keyOf({ group: message.group });
  return keyOf({ user: message.from === me ? message.to : message.from });
}

type Said = Pick<MessageView, 'text' | 'title' | 'replyTo' | 'forwarded' | 'files' | 'mentions' | 'poll' | 'location'>;

const SILENCE: Said = { text: '', files: [], mentions: [] };

export function contentOf(content: Message['content']): Said {
  if (!content) return SILENCE;
  const mentions = content.mentions.flatMap((mention) => {
    const start = indexOfByte(content.text, mention.start);
    const end = indexOfByte(content.text, mention.start + mention.length);
    return start === undefined || end === undefined ? [] : [{ user: mention.user, start, end }];
  });
  return {
    text: content.text,
    title: content.title || undefined,
    replyTo: content.replyTo,
    forwarded: content.forwarded || undefined,
    files: content.attachments.slice(0, 10).map(fileOf),
    mentions,
    poll: content.poll && {
      question: content.poll.question,
      options: content.poll.options,
      choices: content.poll.choices,
      closesAt: content.poll.closesAtMs,
    },
    location: content.location && {
      latitude: content.location.latitudeE7 / 1e7,
      longitude: content.location.longitudeE7 / 1e7,
    },
  };
}

export function messageOf(message: Message, me: string, place?: number): MessageView {
  const gone = message.recalledAtMs > 0 ? 'recalled' : message.wipedAtMs > 0 ? 'wiped' : undefined;
  return {
    key: message.id ?? '',
    id: message.id ?? '',
    from: message.from,
    mine: message.from === me,
    at: message.sentAtMs,
    place: place ?? (message.groupSeq > 0 ? message.groupSeq : undefined),
    status: message.from === me ? 'sent' : undefined,
    editedAt: message.editedAtMs || undefined,
    gone,
    pinned: message.pinned || undefined,
    pinnedAt: message.pinnedAtMs || undefined,
    disappearsAt: message.disappearsAtMs || undefined,
    reactions: message.reactions.map(({ emoji, from }) => ({ emoji, from })),
    ...(gone ? SILENCE : contentOf(message.content)),
  };
}

/** One of the history, which says how far it has come. */
export function keptOf(kept: HistoryMessage, message: Message, me: string): MessageView {
  const view = messageOf(message, me, kept.place);
  const status = STATES[kept.state];
  if (!status) return view;
  return { ...view, status, reason: status === 'failed' ? reasonText(ErrorCode.EXPIRED, undefined) : undefined };
}

const STATES: Partial<Record<MessageState, Status>> = {
  [MessageState.DELIVERED]: 'delivered',
  [MessageState.READ]: 'read',
  [MessageState.EXPIRED]: 'failed',
};

const EVENTS: Partial<Record<GroupEventKind, EventKind>> = {
  [GroupEventKind.CREATED]: 'created',
  [GroupEventKind.JOINED]: 'joined',
  [GroupEventKind.LEFT]: 'left',
  [GroupEventKind.REMOVED]: 'removed',
  [GroupEventKind.MEMBERS_CHANGED]: 'changed',
  [GroupEventKind.SETTINGS]: 'settings',
  [GroupEventKind.DELETED]: 'deleted',
};

/** Undefined for a kind that this build does not know. */
export function eventOf(event: GroupEvent): MessageView | undefined {
  const kind = EVENTS[event.kind];
  if (!kind) return undefined;
  const key = `event ${event.group} ${event.groupSeq} ${kind}`;
  return {
    key,
    id: key,
    from: '',
    mine: false,
    at: event.atMs,
    place: event.groupSeq,
    text: '',
    reactions: [],
    files: [],
    mentions: [],
    event: { kind, users: event.users, by: event.by },
  };
}

export function presenceOf(user: UserPresence): PresenceView {
  const state =
    user.state === PresenceState.ONLINE ? 'online' : user.state === PresenceState.OFFLINE ? 'offline' : 'unknown';
  return { state, lastSeen: user.lastSeenMs };
}

/** Of a conversation as the server tells it: with a user, or of a group. */
export function toldKey(told: { with: string; group?: string }): ConversationKey {
  return told.group ? keyOf({ group: told.group }) : keyOf({ user: told.with });
}

export function blocksMessages(conversation: Conversation): boolean {
  return conversation.blocks.includes(Block.MESSAGES);
}

const ROLES = { [Role.MEMBER]: 'member', [Role.ADMIN]: 'admin', [Role.OWNER]: 'owner' } as const;

export function memberOf(member: Member, names: (user: string) => string): MemberView {
  return { user: member.user, name: names(member.user), role: ROLES[member.role] ?? 'member' };
}

const bit = (permission: Permission) => 1 << permission;
const BY_KIND = [
  bit(Permission.SEND) | bit(Permission.RECEIVE) | bit(Permission.LIST),
  bit(Permission.RECEIVE) | bit(Permission.LIST),
  bit(Permission.SEND) | bit(Permission.LIST),
  bit(Permission.SEND) | bit(Permission.LIST),
];
const EVERYTHING = 0xffff;

/** What a member may do (docs/reference/groups.md); the server decides, this only hides what it would refuse. */
export function permissionsOf(group: GroupState['group'], me: Member): number {
  if (me.role === Role.OWNER) return EVERYTHING;
  const plain = group?.memberPermissions ?? BY_KIND[group?.kind ?? 0] ?? 0;
  return (me.role === Role.ADMIN ? EVERYTHING : plain | me.allow) & ~me.deny;
}

const KINDS = ['normal', 'announcement', 'listeners', 'hunt'] as const;

/** A group as `me` sees it; `members` are those that are known already. */
export function groupOf(
  state: GroupState,
  me: string,
  names: (user: string) => string,
  members: readonly MemberView[],
): GroupView | undefined {
  const { group } = state;
  const mine = state.members.find((member) => member.user === me);
  if (!group || !mine) return undefined;
  const may = permissionsOf(group, mine);
  const has = (permission: Permission) => (may & bit(permission)) !== 0;
  return {
    id: group.id,
    name: group.displayName || names(group.id),
    kind: KINDS[group.kind] ?? 'normal',
    paused: group.paused,
    count: group.members,
    me: memberOf(mine, names),
    may: {
      send: has(Permission.SEND),
      list: has(Permission.LIST),
      add: has(Permission.ADD),
      remove: has(Permission.REMOVE),
      manage: has(Permission.MANAGE),
    },
    members,
  };
}
