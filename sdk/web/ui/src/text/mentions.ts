import type { MentionView } from '../model.js';

export const EVERYBODY = 'all';

/** Finds `@name` of the given people in a text. The longest name counts, and one that goes on as a word does not. */
export function mentionsIn(text: string, users: readonly string[]): MentionView[] {
  const names = [...users, EVERYBODY].sort((a, b) => b.length - a.length);
  const found: MentionView[] = [];
  for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
    if (at > 0 && /[\p{L}\p{N}_]/u.test(text[at - 1]!)) continue;
    const rest = text.slice(at + 1);
    const name = names.find(
      (candidate) =>
        rest.toLowerCase().startsWith(candidate.toLowerCase()) && !/^[\p{L}\p{N}_]/u.test(rest.slice(candidate.length)),
    );
    if (name === undefined) continue;
    found.push({
      user: name === EVERYBODY && !users.includes(EVERYBODY) ? '' : name,
      start: at,
      end: at + 1 + name.length,
    });
  }
  return found;
}

/** What is being typed behind an `@` at the caret: where it begins, and the letters so far. */
export function mentionAt(text: string, caret: number): { readonly start: number; readonly typed: string } | undefined {
  const match = /(?:^|[\s(])@([\p{L}\p{N}_.-]{0,40})$/u.exec(text.slice(0, caret));
  if (!match) return undefined;
  const typed = match[1] ?? '';
  return { start: caret - typed.length - 1, typed };
}
