import { say } from '../locale/locale.js';
import type { Names } from '../model.js';

/** Who is writing, in few words: in a conversation of two it is clear who. */
export function typingText(users: readonly string[], group: boolean, names: Names): string {
  const [first, second] = users;
  if (first === undefined) return '';
  if (!group) return `${say('typing.you')}…`;
  if (second === undefined) return `${say('typing.one', { name: names(first) })}…`;
  if (users.length === 2) return `${say('typing.two', { first: names(first), second: names(second) })}…`;
  return `${say('typing.many')}…`;
}
