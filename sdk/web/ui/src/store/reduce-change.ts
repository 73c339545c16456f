import { type Change, ChangeKind } from '@tidings/client';
import type { MessageView } from '../model.js';
import { contentOf, conversationOf } from './from-client.js';
import type { Happened } from './happened.js';
import { type State, summaryOf, timelineOf, withSummary, withTimeline } from './state.js';
import { change } from './timeline.js';

const NOTHING = {
  text: '',
  title: undefined,
  files: [],
  mentions: [],
  poll: undefined,
  location: undefined,
  replyTo: undefined,
};

type Told = Pick<Change, 'kind' | 'content' | 'emoji' | 'off' | 'from' | 'atMs' | 'disappearsAtMs'>;

/** A message after a change of it; the same when it says nothing new. */
export function afterChange(message: MessageView, told: Told): MessageView {
  switch (told.kind) {
    case ChangeKind.EDIT:
      if (message.gone || (message.editedAt ?? 0) > told.atMs) return message;
      return told.content ? { ...message, ...contentOf(told.content), editedAt: told.atMs } : message;
    case ChangeKind.RECALL:
      return { ...message, ...NOTHING, gone: 'recalled', reactions: [], pinned: undefined };
    case ChangeKind.WIPE:
      return message.gone === 'recalled' ? message : { ...message, ...NOTHING, gone: 'wiped', reactions: [] };
    case ChangeKind.REACT: {
      const others = message.reactions.filter(
        (reaction) => reaction.emoji !== told.emoji || reaction.from !== told.from,
      );
      if (told.off) return others.length === message.reactions.length ? message : { ...message, reactions: others };
      return others.length < message.reactions.length
        ? message
        : { ...message, reactions: [...message.reactions, { emoji: told.emoji, from: told.from }] };
    }
    case ChangeKind.PIN:
      // What both do at once comes in another order to each.
      if (told.atMs > 0 && told.atMs < (message.pinnedAt ?? 0)) return message;
      return { ...message, pinned: told.off ? undefined : true, pinnedAt: told.atMs || message.pinnedAt };
    case ChangeKind.DISAPPEARS:
      return { ...message, disappearsAt: told.disappearsAtMs || undefined };
    default:
      return message;
  }
}

export function changed(state: State, told: Change): State {
  if (!told.of) return state;
  const key = conversationOf(told, state.me);
  const id = told.of;
  const place = told.ofGroupSeq > 0 ? told.ofGroupSeq : undefined;
  const next = withTimeline(state, key, (timeline) =>
    change(timeline, { id, place }, (message) => afterChange(message, told)),
  );
  const { last } = summaryOf(next, key);
  if (!last || last.id !== id) return next;
  const shown = timelineOf(next, key).messages.find((message) => message.id === id) ?? afterChange(last, told);
  return withSummary(next, key, (summary) => ({ ...summary, last: shown }));
}

/** A change that was made here. What is undone was refused: a reaction is taken back alone, anything else goes back to what it was. */
export function changedHere(state: State, happened: Extract<Happened, { type: 'changedHere' | 'undone' }>): State {
  const { key, change: made } = happened;
  const undo = happened.type === 'undone';
  const id = undo ? happened.message.id : happened.message;
  const told: Told = {
    kind: made.kind,
    content: undefined,
    emoji: made.emoji ?? '',
    off: (made.off ?? false) !== undo,
    from: state.me,
    atMs: 0,
    disappearsAtMs: 0,
  };
  const reverts = undo && made.kind !== ChangeKind.REACT && made.kind !== ChangeKind.PIN;
  const after = (message: MessageView): MessageView => {
    if (reverts && undo) return { ...happened.message, key: message.key, reactions: message.reactions };
    return !undo && happened.edited ? { ...message, ...happened.edited } : afterChange(message, told);
  };
  const next = withTimeline(state, key, (timeline) => change(timeline, { id }, after));
  const { last } = summaryOf(next, key);
  return last?.id === id ? withSummary(next, key, (summary) => ({ ...summary, last: after(last) })) : next;
}
