import { ActivityKind, type StatusChanged } from '@tidings/client';
import { type ConversationKey, keyOf, type MessageView } from '../model.js';
import {
  blocksMessages,
  conversationOf,
  groupOf,
  keptOf,
  memberOf,
  messageOf,
  presenceOf,
  toldKey,
} from './from-client.js';
import type { Happened } from './happened.js';
import { latest } from './latest.js';
import { changed, changedHere } from './reduce-change.js';
import { groupEvent, groupGone, groupNewest, groupReceipt, withGroupMark } from './reduce-group.js';
import {
  blank,
  type Mark,
  markKey,
  put,
  type State,
  type Summary,
  summaryOf,
  timelineOf,
  without,
  withSummary,
  withTimeline,
} from './state.js';
import { add, addPage, change, has, laterStatus, raise, remove, trimmed } from './timeline.js';

/** What is said to be typed is shown for so long, unless it is said again. */
const TYPING_MS = 6000;

/** One step: the state before and what happened make the state after. Nothing else goes in. */
export function reduce(state: State, happened: Happened): State {
  switch (happened.type) {
    case 'connection': {
      const { state: now, error, retryAt } = happened.change;
      const caughtUp = now === 'connected' && state.connection.caughtUp;
      return { ...state, connection: { state: now, reason: error ?? '', retryAt: retryAt ?? 0, caughtUp } };
    }
    case 'caughtUp':
      return { ...state, connection: { ...state.connection, caughtUp: true } };
    case 'received':
      return received(state, happened);
    case 'sent':
      return sent(state, happened);
    case 'status':
      return status(state, happened.change, happened.reason);
    case 'changed':
      return changed(state, happened.change);
    case 'groupEvent':
      return groupEvent(state, happened);
    case 'conversation':
      return withSummary(state, toldKey(happened.conversation), (summary) =>
        summed(state, summary, happened.conversation, false),
      );
    case 'conversations':
      return conversations(state, happened);
    case 'presence': {
      const presence = new Map(state.presence);
      for (const user of happened.users) presence.set(user.user, presenceOf(user));
      return { ...state, presence };
    }
    case 'activity':
      return activity(state, happened);
    case 'fade':
      return faded(state, happened.now);
    case 'lost':
      return lost(state, happened.now);
    case 'disappeared':
      return disappeared(state, happened.now);
    case 'loading':
      return withTimeline(state, happened.key, (timeline) =>
        timeline.loading === happened.loading ? timeline : { ...timeline, loading: happened.loading },
      );
    case 'page':
      return page(state, happened);
    case 'groupNewest':
      return groupNewest(state, happened);
    case 'group': {
      const id = happened.state.group?.id ?? '';
      const group = groupOf(happened.state, state.me, happened.names, state.groups.get(id)?.members ?? []);
      if (!group) return state;
      return withSummary(
        { ...state, groups: put(state.groups, id, group) },
        keyOf({ group: id }),
        (summary) => summary,
      );
    }
    case 'members': {
      const group = state.groups.get(happened.group);
      if (!group) return state;
      const told = happened.members.map((member) => memberOf(member, happened.names));
      const members = happened.first ? told : [...group.members, ...told];
      return { ...state, groups: put(state.groups, happened.group, { ...group, members }) };
    }
    case 'groupGone':
      return groupGone(state, happened.group);
    case 'groupReceipt':
      return groupReceipt(state, happened);
    case 'listed':
      return {
        ...state,
        listed: true,
        summaries: new Map([...state.summaries].filter(([, summary]) => !summary.restored)),
      };
    case 'restored': {
      const restored = happened.summaries.map((summary): [ConversationKey, Summary] => [
        summary.key,
        { ...blank(summary.key), ...summary, listedTo: 0, countedTo: 0, restored: true },
      ]);
      return { ...state, summaries: new Map([...restored, ...state.summaries]) };
    }
    case 'marks':
      return { ...state, marks: new Map([...happened.marks, ...state.marks]) };
    case 'opened':
      return opened(state, happened.key);
    case 'read':
      return withSummary(state, happened.key, (summary) => ({
        ...summary,
        unread: 0,
        mentioned: false,
        markedUnread: false,
        readTo: Math.max(summary.readTo, happened.place ?? 0),
      }));
    case 'draft':
      return {
        ...state,
        drafts:
          happened.text === '' ? without(state.drafts, happened.key) : put(state.drafts, happened.key, happened.text),
      };
    case 'composed':
      return latest(
        withTimeline(state, happened.key, (timeline) => add(timeline, happened.message)),
        happened.key,
        happened.message,
      );
    case 'file':
      return withTimeline(state, happened.key, (timeline) =>
        change(timeline, { id: happened.message, key: happened.message }, (message) => ({
          ...message,
          files: message.files.map((file) => (file.id === happened.file ? { ...file, ...happened.change } : file)),
        })),
      );
    case 'failed':
      return withTimeline(state, happened.key, (timeline) =>
        change(timeline, { id: happened.message, key: happened.message }, (message) => ({
          ...message,
          status: 'failed',
          reason: happened.reason,
        })),
      );
    case 'changedHere':
    case 'undone':
      return changedHere(state, happened);
    case 'removed':
      return withTimeline(state, happened.key, (timeline) => remove(timeline, happened.message));
  }
}

function received(state: State, happened: Extract<Happened, { type: 'received' }>): State {
  const key = conversationOf(happened.message, state.me);
  const message = withMarks(state, key, messageOf(happened.message, state.me));
  const timeline = timelineOf(state, key);
  const group = key.startsWith('g/');
  const summary = summaryOf(state, key);
  const listed = group ? (message.place ?? 0) <= summary.countedTo : message.at < summary.listedTo;
  const known = has(timeline, message) || summary.last?.id === message.id || listed;
  // What nobody looks at is in the history when somebody does.
  const kept = timeline.loaded || state.open === key;
  let next = latest(kept ? withTimeline(state, key, (before) => add(before, message)) : state, key, message);
  next = { ...next, typing: notTyping(next, key, message.from) };
  if (message.mine || known) return next;
  const mentioned = message.mentions.some((mention) => mention.user === '' || mention.user === state.me);
  return withSummary(next, key, (before) => ({
    ...before,
    unread: before.unread + 1,
    mentioned: before.mentioned || mentioned,
    countedTo: Math.max(before.countedTo, message.place ?? 0),
  }));
}

function sent(state: State, { message, key, pending }: Extract<Happened, { type: 'sent' }>): State {
  const where = conversationOf(message, state.me);
  const view = messageOf(message, state.me);
  // In the outbox it may have no id yet; the client's key tells it from others until then.
  const shown: MessageView = {
    ...view,
    id: view.id || `key ${key ?? ''}`,
    key: key ?? view.id,
    status: pending ? 'sending' : 'sent',
    at: view.at || Date.now(),
  };
  const marked = withMarks(state, where, shown);
  return latest(
    withTimeline(state, where, (timeline) => add(timeline, marked)),
    where,
    marked,
  );
}

function withMarks(state: State, key: ConversationKey, message: MessageView): MessageView {
  if (key.startsWith('g/')) return withGroupMark(state, key, message);
  if (!message.mine || message.status === 'sending' || message.status === 'failed') return message;
  const [stream = '', seq] = message.id.split('.');
  const mark = state.marks.get(markKey(key.slice(2), stream));
  if (!mark) return message;
  const told = Number(seq) <= mark.read ? 'read' : Number(seq) <= mark.delivered ? 'delivered' : message.status;
  return { ...message, status: laterStatus(message.status, told) };
}

function status(state: State, told: StatusChanged, reason: string): State {
  const key = told.group ? keyOf({ group: told.group }) : keyOf({ user: told.to });
  const [stream = '', seq = '0'] = told.id.split('.');
  let next = state;
  if (told.upTo && (told.status === 'delivered' || told.status === 'read')) {
    const name = markKey(told.to, stream);
    const before = state.marks.get(name) ?? { delivered: 0, read: 0 };
    const at = Number(seq);
    const mark: Mark = {
      delivered: Math.max(before.delivered, at),
      read: told.status === 'read' ? Math.max(before.read, at) : before.read,
    };
    next = { ...next, marks: put(next.marks, name, mark) };
    const reached = told.status;
    next = withTimeline(next, key, (timeline) => raise(timeline, stream, at, reached));
  } else {
    next = withTimeline(next, key, (timeline) =>
      change(timeline, { id: told.id || 'none', key: told.key ?? told.id }, (message) =>
        told.status === 'failed'
          ? { ...message, id: told.id || message.id, status: 'failed', reason }
          : {
              ...message,
              id: told.id || message.id,
              at: told.status === 'sent' && told.atMs > 0 ? told.atMs : message.at,
              status: laterStatus(message.status === 'failed' ? 'sending' : message.status, told.status),
              reason: undefined,
            },
      ),
    );
  }
  const last = next.summaries.get(key)?.last;
  const shown =
    last && timelineOf(next, key).messages.find((message) => message.key === last.key || message.id === last.id);
  if (shown) return withSummary(next, key, (summary) => ({ ...summary, last: shown }));
  return last ? withSummary(next, key, (summary) => ({ ...summary, last: withMarks(next, key, last) })) : next;
}

/** What the server says of a conversation. Of its last message the newer counts: the answer may be older than what came since. */
function summed(state: State, summary: Summary, told: Parameters<typeof blocksMessages>[0], counts: boolean): Summary {
  const message =
    told.lastMessage && withMarks(state, summary.key, messageOf(told.lastMessage, state.me, told.lastPlace));
  const newer = message && message.at >= summary.lastAt;
  const open = state.open === summary.key;
  return {
    ...summary,
    last: newer
      ? summary.last?.id === message.id
        ? { ...message, key: summary.last.key, status: laterStatus(summary.last.status, message.status) }
        : message
      : summary.last,
    lastAt: Math.max(summary.lastAt, told.lastAtMs),
    unread: open && !counts ? summary.unread : told.unread,
    markedUnread: told.markedUnread,
    mutedUntil: told.muteUntilMs,
    archived: told.archived,
    favourite: told.favourite,
    contact: told.contact,
    blocked: blocksMessages(told),
    restored: undefined,
    readTo: Math.max(summary.readTo, told.readPlace),
    listedTo: Math.max(summary.listedTo, told.lastAtMs),
    // Of a group places are those of its order: what comes with a lower one was counted.
    countedTo: summary.key.startsWith('g/') ? Math.max(summary.countedTo, told.lastPlace) : 0,
  };
}

function conversations(state: State, happened: Extract<Happened, { type: 'conversations' }>): State {
  const summaries = new Map(state.summaries);
  for (const conversation of happened.conversations) {
    const key = toldKey(conversation);
    summaries.set(key, summed(state, summaries.get(key) ?? blank(key), conversation, true));
  }
  return { ...state, summaries };
}

function activity(state: State, { activity, now }: Extract<Happened, { type: 'activity' }>): State {
  const key = conversationOf(activity, state.me);
  if (activity.from === state.me) return state;
  if (activity.kind === ActivityKind.TYPING) {
    const users = new Map(state.typing.get(key)).set(activity.from, now + TYPING_MS);
    return { ...state, typing: put(state.typing, key, users) };
  }
  if (activity.kind === ActivityKind.IDLE || activity.kind === ActivityKind.LEFT)
    return { ...state, typing: notTyping(state, key, activity.from) };
  return state;
}

function notTyping(state: State, key: ConversationKey, user: string): State['typing'] {
  const users = state.typing.get(key);
  if (!users?.has(user)) return state.typing;
  const others = without(users, user);
  return others.size === 0 ? without(state.typing, key) : put(state.typing, key, others);
}

function faded(state: State, now: number): State {
  let { typing } = state;
  for (const [key, users] of state.typing) {
    for (const [user, until] of users) if (until <= now) typing = notTyping({ ...state, typing }, key, user);
  }
  return typing === state.typing ? state : { ...state, typing };
}

/** Continuity broke: each open window says so, and is loaded anew. */
function lost(state: State, now: number): State {
  const key = state.open;
  if (!key) return { ...state, timelines: new Map() };
  const line: MessageView = {
    key: `lost ${now}`,
    id: `lost ${now}`,
    from: '',
    mine: false,
    at: now,
    text: '',
    reactions: [],
    files: [],
    mentions: [],
    event: { kind: 'lost', users: [], by: '' },
  };
  return { ...state, timelines: new Map([[key, add(timelineOf(state, key), line)]]) };
}

function disappeared(state: State, now: number): State {
  let next = state;
  for (const [key, timeline] of state.timelines) {
    if (!timeline.messages.some((message) => (message.disappearsAt ?? now + 1) <= now)) continue;
    next = withTimeline(next, key, (before) => ({
      ...before,
      messages: before.messages.filter((message) => (message.disappearsAt ?? now + 1) > now),
    }));
  }
  return next;
}

function page(state: State, happened: Extract<Happened, { type: 'page' }>): State {
  const { key } = happened;
  const group = state.groups.get(key.slice(2));
  const views = happened.messages.flatMap((kept) =>
    kept.message ? [withMarks(state, key, keptOf(kept, kept.message, state.me))] : [],
  );
  let next = withTimeline(state, key, (timeline) => addPage(timeline, views, happened.direction, happened.more));
  if (group || happened.direction !== 'newest') return marksUnread(next, key);
  const last = views.at(-1);
  if (last) next = latest(next, key, last);
  return marksUnread(next, key);
}

/** Where the unread ones begin, when the conversation was opened with some and its first page is here. */
function marksUnread(state: State, key: ConversationKey): State {
  const timeline = timelineOf(state, key);
  const { unread } = summaryOf(state, key);
  if (state.open !== key || timeline.firstUnread !== undefined || unread === 0) return state;
  let left = unread;
  for (let index = timeline.messages.length - 1; index >= 0; index -= 1) {
    const message = timeline.messages[index]!;
    if (message.mine || message.event) continue;
    left -= 1;
    if (left === 0) return withTimeline(state, key, (before) => ({ ...before, firstUnread: message.key }));
  }
  return state;
}

function opened(state: State, key: ConversationKey | undefined): State {
  if (key === state.open) return state;
  let next: State = { ...state, open: key };
  // The line above the new ones stays until the conversation is left.
  if (state.open && state.timelines.has(state.open)) next = withTimeline(next, state.open, trimmed);
  if (key === undefined) return next;
  return timelineOf(next, key).loaded ? marksUnread(next, key) : next;
}
