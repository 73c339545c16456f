import { GroupEventKind } from '@tidings/client';
import { type ConversationKey, keyOf, type MessageView } from '../model.js';
import { eventOf, messageOf } from './from-client.js';
import type { Happened } from './happened.js';
import { latest } from './latest.js';
import { type GroupMark, put, type State, summaryOf, timelineOf, without, withSummary, withTimeline } from './state.js';
import { add, changeAll, has, laterStatus } from './timeline.js';

/** This user is not in it any more. */
export function groupGone(state: State, group: string): State {
  const key = keyOf({ group });
  const { groups, groupMarks, summaries, timelines } = state;
  return {
    ...state,
    groups: without(groups, group),
    groupMarks: without(groupMarks, group),
    summaries: without(summaries, key),
    timelines: without(timelines, key),
  };
}

export function groupEvent(state: State, { event }: Extract<Happened, { type: 'groupEvent' }>): State {
  const key = keyOf({ group: event.group });
  const view = eventOf(event);
  if (!view) return state;
  const ends =
    event.kind === GroupEventKind.DELETED ||
    ((event.kind === GroupEventKind.LEFT || event.kind === GroupEventKind.REMOVED) && event.users.includes(state.me));
  if (ends) return groupGone(state, event.group);
  const known = has(timelineOf(state, key), view);
  const next = withTimeline(state, key, (timeline) => add(timeline, view));
  const summary = summaryOf(next, key);
  return known || (summary.last && event.kind !== GroupEventKind.CREATED && event.kind !== GroupEventKind.JOINED)
    ? withSummary(next, key, (before) => before)
    : latest(next, key, view);
}

export function groupNewest(
  state: State,
  { group, messages, readTo }: Extract<Happened, { type: 'groupNewest' }>,
): State {
  const key = keyOf({ group });
  const views = messages.flatMap(({ place, message }) => (message ? [messageOf(message, state.me, place)] : []));
  const last = views.at(-1);
  const newest = last?.place ?? 0;
  const read = readTo ?? newest;
  const unread = views.filter((message) => !message.mine && (message.place ?? 0) > read);
  const next = last ? latest(state, key, last) : state;
  const mentioned = unread.some((message) =>
    message.mentions.some((mention) => mention.user === '' || mention.user === state.me),
  );
  return withSummary(next, key, (summary) => ({
    ...summary,
    unread: unread.length,
    mentioned,
    readTo: read,
    countedTo: Math.max(summary.countedTo, newest),
  }));
}

/** What the server told of the own messages in a group, on top of what it told before: nothing of it is taken back. */
export function groupReceipt(state: State, { receipt }: Extract<Happened, { type: 'groupReceipt' }>): State {
  const { group, deliveredToAll, readByAll, messages } = receipt;
  // Who is alone there is read by nobody.
  if (state.groups.get(group)?.count === 1) return state;
  const before = state.groupMarks.get(group);
  const single = new Map<number, 'delivered' | 'read'>();
  for (const { groupSeq, members, delivered, read } of messages)
    if (members > 0 && delivered >= members) single.set(groupSeq, read >= members ? 'read' : 'delivered');
  const mark: GroupMark = {
    delivered: Math.max(before?.delivered ?? 0, deliveredToAll),
    read: Math.max(before?.read ?? 0, readByAll),
    single,
  };
  const key = keyOf({ group });
  const next = { ...state, groupMarks: put(state.groupMarks, group, mark) };
  const raised = (message: MessageView) => withGroupMark(next, key, message);
  return withSummary(
    withTimeline(next, key, (timeline) => changeAll(timeline, raised)),
    key,
    (summary) => {
      const last = summary.last && raised(summary.last);
      return last === summary.last ? summary : { ...summary, last };
    },
  );
}

/** The same message with the ticks that are known. */
export function withGroupMark(state: State, key: ConversationKey, message: MessageView): MessageView {
  const { place, status } = message;
  const mark = state.groupMarks.get(key.slice(2));
  if (!mark || !message.mine || place === undefined || status === 'sending' || status === 'failed') return message;
  const told =
    place <= mark.read ? 'read' : (mark.single.get(place) ?? (place <= mark.delivered ? 'delivered' : undefined));
  const later = laterStatus(status, told);
  return later === status ? message : { ...message, status: later };
}
