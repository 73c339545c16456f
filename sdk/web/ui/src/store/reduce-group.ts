import { GroupEventKind } from '@tidings/client';
import { keyOf, type MessageView } from '../model.js';
import { eventOf, messageOf } from './from-client.js';
import type { Happened } from './happened.js';
import { latest } from './latest.js';
import { type State, summaryOf, timelineOf, without, withSummary, withTimeline } from './state.js';
import { add, changeAll, has, laterStatus } from './timeline.js';

/** This user is not in it any more. */
export function groupGone(state: State, group: string): State {
  const key = keyOf({ group });
  const { groups, summaries, timelines } = state;
  return {
    ...state,
    groups: without(groups, group),
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

/** Whoever has a message of a group has what stands before it. */
export function groupReceipts(
  state: State,
  { group, place, status }: Extract<Happened, { type: 'groupReceipts' }>,
): State {
  const key = keyOf({ group });
  const raised = (message: MessageView): MessageView => {
    const own = message.mine && message.place !== undefined && message.place <= place && message.status !== 'failed';
    const later = laterStatus(message.status, status);
    return own && later !== message.status ? { ...message, status: later } : message;
  };
  const next = withTimeline(state, key, (timeline) => changeAll(timeline, raised));
  return withSummary(next, key, (summary) => (summary.last ? { ...summary, last: raised(summary.last) } : summary));
}
