import type { MessageView, Status } from '../model.js';

/** What is known of a conversation's messages: a window of its history without gaps, and what came since. */
export interface Timeline {
  /** In order: those with a place by their places, then what has none yet as it came. */
  readonly messages: readonly MessageView[];
  /** The window begins with the first message there is, and ends with the newest. */
  readonly atOldest: boolean;
  readonly atNewest: boolean;
  /** A page of history was here. */
  readonly loaded: boolean;
  readonly loading: boolean;
  /** The key of the first message that was unread when the conversation was opened. */
  readonly firstUnread?: string | undefined;
}

export const EMPTY: Timeline = { messages: [], atOldest: false, atNewest: true, loaded: false, loading: false };

const RANK: Record<Status, number> = { sending: 0, failed: 0, sent: 1, delivered: 2, read: 3 };

/** The later of two: what was read does not become delivered again. */
export function laterStatus(a: Status | undefined, b: Status | undefined): Status | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return RANK[b] >= RANK[a] ? b : a;
}

function placed(messages: readonly MessageView[]): readonly MessageView[] {
  const inOrder = messages.every(
    (message, index) => (messages[index - 1]?.place ?? 0) <= (message.place ?? Number.MAX_SAFE_INTEGER),
  );
  if (inOrder) return messages;
  return [...messages].sort((a, b) => (a.place ?? Number.MAX_SAFE_INTEGER) - (b.place ?? Number.MAX_SAFE_INTEGER));
}

/** What is known of one message from two sources: the later says what it is, the earlier what it is called here. */
function merged(known: MessageView, told: MessageView): MessageView {
  const files = told.files.map((file, index) => {
    // A file that was sent from here had another name until it was on the server.
    const sentFrom = known.files[index]?.id.startsWith('local ') ? known.files[index] : undefined;
    const before = known.files.find((other) => other.id === file.id) ?? sentFrom;
    return { ...file, address: file.address ?? before?.address, thumbnail: file.thumbnail ?? before?.thumbnail };
  });
  return {
    ...told,
    key: known.key,
    place: told.place ?? known.place,
    status: laterStatus(known.status, told.status),
    files,
  };
}

function indexOf(timeline: Timeline, message: Pick<MessageView, 'id' | 'key'>): number {
  // Most of what happens is about the newest.
  for (let index = timeline.messages.length - 1; index >= 0; index -= 1) {
    const known = timeline.messages[index]!;
    if (known.key === message.key || (message.id !== '' && known.id === message.id)) return index;
  }
  return -1;
}

function replaced(timeline: Timeline, index: number, message: MessageView): Timeline {
  const messages = timeline.messages.slice();
  const before = messages[index]!;
  messages[index] = message;
  return { ...timeline, messages: before.place === message.place ? messages : placed(messages) };
}

export function has(timeline: Timeline, message: Pick<MessageView, 'id' | 'key'>): boolean {
  return indexOf(timeline, message) >= 0;
}

/**
 * A message that came or was written. A window that does not reach to it has no place for it: it is there when that part is loaded.
 * While a device catches up, what comes may be older than all that is shown.
 */
export function add(timeline: Timeline, message: MessageView): Timeline {
  const index = indexOf(timeline, message);
  if (index >= 0) return replaced(timeline, index, merged(timeline.messages[index]!, message));
  const at = whereTo(timeline.messages, message);
  if (!timeline.atNewest || (at === 0 && timeline.loaded && !timeline.atOldest && timeline.messages.length > 0))
    return timeline;
  return { ...timeline, messages: timeline.messages.toSpliced(at, 0, message) };
}

/** Nearly always at the end. What waits to be sent stays behind. */
function whereTo(messages: readonly MessageView[], message: MessageView): number {
  let at = messages.length;
  while (at > 0 && precedes(message, messages[at - 1]!)) at -= 1;
  return at;
}

/** By their places where both have one; of one sender's device by their numbers; else by their times. */
function precedes(message: MessageView, other: MessageView): boolean {
  if (message.place !== undefined && other.place !== undefined) return message.place < other.place;
  if (message.status === 'sending') return false;
  if (other.status === 'sending') return true;
  const [stream, seq] = message.id.split('.');
  const [otherStream, otherSeq] = other.id.split('.');
  if (stream === otherStream && seq !== undefined && otherSeq !== undefined) return Number(seq) < Number(otherSeq);
  return message.at < other.at;
}

/** A conversation that is left keeps so many of its newest messages. */
const KEPT = 200;

export function trimmed(timeline: Timeline): Timeline {
  const messages = timeline.atNewest ? timeline.messages.slice(-KEPT) : timeline.messages;
  const cut = messages.length < timeline.messages.length;
  return { ...timeline, firstUnread: undefined, messages, atOldest: timeline.atOldest && !cut };
}

export function change(
  timeline: Timeline,
  which: { readonly id: string; readonly key?: string; readonly place?: number | undefined },
  to: (message: MessageView) => MessageView,
): Timeline {
  let index = indexOf(timeline, { id: which.id, key: which.key ?? which.id });
  if (index < 0 && which.place !== undefined)
    index = timeline.messages.findIndex((message) => message.place === which.place && !message.event);
  if (index < 0) return timeline;
  const after = to(timeline.messages[index]!);
  return after === timeline.messages[index] ? timeline : replaced(timeline, index, after);
}

export function remove(timeline: Timeline, key: string): Timeline {
  return { ...timeline, messages: timeline.messages.filter((message) => message.key !== key) };
}

/** Changes every message for which it says something else. */
export function changeAll(timeline: Timeline, to: (message: MessageView) => MessageView): Timeline {
  let same = true;
  const messages = timeline.messages.map((message) => {
    const after = to(message);
    if (after !== message) same = false;
    return after;
  });
  return same ? timeline : { ...timeline, messages };
}

export type Direction = 'older' | 'newer' | 'newest' | 'around';

/** A page of the history takes its place. `newest` and `around` begin a new window where the old one does not touch the page. */
export function addPage(
  timeline: Timeline,
  page: readonly MessageView[],
  direction: Direction,
  more: boolean,
): Timeline {
  const known = new Map(timeline.messages.map((message) => [message.id, message]));
  const told = page.map((message) => {
    const before = known.get(message.id);
    return before ? merged(before, message) : message;
  });
  const ids = new Set(page.map((message) => message.id));
  const touches =
    direction === 'older' ||
    direction === 'newer' ||
    (direction === 'newest' && timeline.atNewest && timeline.loaded && page.some((message) => known.has(message.id)));
  const rest = timeline.messages.filter(
    (message) => !ids.has(message.id) && (touches || keptOver(message, timeline, direction)),
  );
  const withPlace = placed([...rest.filter((message) => message.place !== undefined), ...told]);
  const atOldest =
    direction === 'older' || (direction === 'newest' && !touches) ? !more : direction !== 'around' && timeline.atOldest;
  // What came live has no place yet: behind what it followed, or in a part that is not loaded.
  const messages = [...withPlace];
  for (const message of rest) {
    if (message.place !== undefined) continue;
    const at = whereTo(messages, message);
    if (at > 0 || atOldest || messages.length === 0) messages.splice(at, 0, message);
  }
  return {
    ...timeline,
    messages,
    loaded: true,
    loading: false,
    atOldest,
    atNewest:
      direction === 'newer'
        ? !more
        : direction === 'newest'
          ? true
          : direction === 'around'
            ? false
            : timeline.atNewest,
  };
}

/** Into a new window goes what waits here, and what came live since the page was asked for. */
function keptOver(message: MessageView, timeline: Timeline, direction: Direction): boolean {
  if (direction === 'around') return false;
  return (
    message.status === 'sending' ||
    message.status === 'failed' ||
    (timeline.atNewest && (message.place === undefined || !timeline.loaded))
  );
}

export function oldestPlace(timeline: Timeline): number | undefined {
  return timeline.messages.find((message) => message.place !== undefined && !message.event)?.place;
}

export function newestPlace(timeline: Timeline): number | undefined {
  for (let index = timeline.messages.length - 1; index >= 0; index -= 1) {
    const { place } = timeline.messages[index]!;
    if (place !== undefined) return place;
  }
  return undefined;
}

/** A watermark: the user's own messages of a stream up to a number. */
export function raise(timeline: Timeline, stream: string, upTo: number, status: Status): Timeline {
  return changeAll(timeline, (message) => {
    if (!message.mine || message.status === 'failed' || message.status === status) return message;
    const [of, seq] = message.id.split('.');
    if (of !== stream || Number(seq) > upTo) return message;
    const later = laterStatus(message.status, status);
    return later === message.status ? message : { ...message, status: later };
  });
}
