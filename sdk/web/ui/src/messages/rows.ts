import { dayOf } from '../locale/locale.js';
import type { MessageView } from '../model.js';

/** What stands below one another in the view. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at: number }
  | { readonly kind: 'unread'; readonly key: string }
  | { readonly kind: 'event'; readonly key: string; readonly message: MessageView; readonly index: number }
  | {
      readonly kind: 'message';
      readonly key: string;
      readonly message: MessageView;
      readonly index: number;
      /** Begins and ends what one person said without a break. */
      readonly first: boolean;
      readonly last: boolean;
    };

/** Messages of one person that are further apart are not one group. */
const BREAK_MS = 5 * 60_000;

function together(a: MessageView | undefined, b: MessageView | undefined, day: Day): boolean {
  return (
    !!a &&
    !!b &&
    !a.event &&
    !b.event &&
    a.from === b.from &&
    Math.abs(b.at - a.at) < BREAK_MS &&
    day.has(a.at) &&
    day.has(b.at)
  );
}

/** A day of the local calendar: asked for once, and not for every message. */
class Day {
  private constructor(
    readonly name: string,
    private readonly begins: number,
    private readonly ends: number,
  ) {}

  static of(at: number): Day {
    const midnight = new Date(at);
    midnight.setHours(0, 0, 0, 0);
    const begins = midnight.getTime();
    midnight.setDate(midnight.getDate() + 1);
    return new Day(dayOf(at), begins, midnight.getTime());
  }

  has(at: number): boolean {
    return at >= this.begins && at < this.ends;
  }
}

/** Rows of messages in the order in which they stand, with a line where a day begins and where the unread ones do. */
export function rowsOf(messages: readonly MessageView[], firstUnread?: string): Row[] {
  const rows: Row[] = [];
  let day: Day | undefined;
  for (let index = 0; index < messages.length; index += 1) {
    const message = messages[index]!;
    const before = messages[index - 1];
    const after = messages[index + 1];
    if (!day?.has(message.at)) {
      day = Day.of(message.at);
      rows.push({ kind: 'day', key: `day ${day.name} ${message.key}`, at: message.at });
    }
    if (firstUnread !== undefined && message.key === firstUnread) rows.push({ kind: 'unread', key: 'unread' });
    if (message.event) {
      rows.push({ kind: 'event', key: message.key, message, index });
      continue;
    }
    rows.push({
      kind: 'message',
      key: message.key,
      message,
      index,
      first: !together(before, message, day) || message.key === firstUnread,
      last: !together(message, after, day) || after?.key === firstUnread,
    });
  }
  return rows;
}
