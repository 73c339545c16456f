import type { ConversationView, GroupView, MemberView, Names } from '../model.js';
import { type ConversationKey, peerOf } from '../model.js';
import type { State } from './state.js';
import { summaryOf } from './state.js';

/** A conversation as elements show it. */
export function conversationView(state: State, key: ConversationKey, names: Names): ConversationView {
  const summary = summaryOf(state, key);
  const peer = peerOf(key);
  const name = 'user' in peer ? names(peer.user) : (state.groups.get(peer.group)?.name ?? summary.name ?? peer.group);
  return {
    key,
    peer,
    name,
    last: summary.last,
    lastAt: summary.lastAt,
    unread: summary.unread,
    mentioned: summary.mentioned,
    markedUnread: summary.markedUnread,
    mutedUntil: summary.mutedUntil,
    archived: summary.archived,
    favourite: summary.favourite,
    contact: summary.contact,
    blocked: summary.blocked,
    typing: [...(state.typing.get(key)?.keys() ?? [])],
    presence: 'user' in peer ? state.presence.get(peer.user) : undefined,
    draft: state.drafts.get(key),
  };
}

export function conversationViews(state: State, names: Names): ConversationView[] {
  return [...state.summaries.keys()].map((key) => conversationView(state, key, names));
}

/** A group with who of its members is online. */
export function groupView(state: State, group: string): GroupView | undefined {
  const known = state.groups.get(group);
  return (
    known && {
      ...known,
      members: known.members.map((member): MemberView => ({ ...member, presence: state.presence.get(member.user) })),
    }
  );
}

export function unreadTotal(state: State, now: number): number {
  let total = 0;
  for (const summary of state.summaries.values())
    if (summary.mutedUntil <= now && !summary.archived) total += summary.unread;
  return total;
}
