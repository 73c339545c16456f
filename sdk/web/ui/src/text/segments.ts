import type { MentionView } from '../model.js';

/** A piece of a message's text. Nothing of it is ever HTML. */
export type Segment =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'link'; readonly text: string; readonly href: string }
  | { readonly kind: 'mention'; readonly text: string; readonly user: string };

const LINK = /\b(?:https?:\/\/|www\.)[^\s<>"'`]+|\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+/giu;
// What stands behind an address in a sentence is not a part of it.
const TRAILING = /[.,;:!?…*_~'")\]}>]$/u;

/** Only these open: no `javascript:`, no `data:`. */
function addressOf(text: string): string | undefined {
  const address = /^www\./i.test(text) ? `https://${text}` : text.includes('://') ? text : `mailto:${text}`;
  try {
    const url = new URL(address);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** An address that is longer is text. */
const LONGEST = 2048;

/** Cuts what closes a sentence, but leaves a bracket that was opened inside. */
function trimmed(match: string): string {
  let text = match;
  for (;;) {
    const end = TRAILING.exec(text)?.[0];
    if (end === undefined) return text;
    const opens = end === ')' ? '(' : end === ']' ? '[' : undefined;
    if (opens && text.split(opens).length >= text.split(end).length) return text;
    text = text.slice(0, -1);
  }
}

function withLinks(text: string, into: Segment[]): void {
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    if (match[0].length > LONGEST) continue;
    const shown = trimmed(match[0]);
    const href = shown.length > 4 ? addressOf(shown) : undefined;
    if (href === undefined) continue;
    if (match.index > from) into.push({ kind: 'text', text: text.slice(from, match.index) });
    into.push({ kind: 'link', text: shown, href });
    from = match.index + shown.length;
  }
  if (from < text.length) into.push({ kind: 'text', text: text.slice(from) });
}

export function segments(text: string, mentions: readonly MentionView[] = []): Segment[] {
  const found: Segment[] = [];
  let from = 0;
  for (const mention of [...mentions].sort((a, b) => a.start - b.start)) {
    if (mention.end <= mention.start || mention.start < from || mention.end > text.length) continue;
    withLinks(text.slice(from, mention.start), found);
    found.push({ kind: 'mention', text: text.slice(mention.start, mention.end), user: mention.user });
    from = mention.end;
  }
  withLinks(text.slice(from), found);
  return found;
}

const ONE_EMOJI =
  /^(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[#*0-9]\uFE0F?\u20E3)/u;

/** How many emoji the text is made of when it has nothing else, up to 3; else 0. They are shown large. */
export function onlyEmoji(text: string): number {
  if (text.length > 40) return 0;
  const signs = [...new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(text.trim())].map(
    (part) => part.segment,
  );
  if (signs.length < 1 || signs.length > 3) return 0;
  return signs.every((sign) => ONE_EMOJI.test(sign)) ? signs.length : 0;
}

const STRONG = /[\p{L}]/u;
const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFF]/u;

/** Which way the text runs, by its first letter (UAX 9, P2); undefined when it has none. */
export function direction(text: string): 'ltr' | 'rtl' | undefined {
  const letter = STRONG.exec(text)?.[0];
  return letter === undefined ? undefined : RIGHT_TO_LEFT.test(letter) ? 'rtl' : 'ltr';
}
