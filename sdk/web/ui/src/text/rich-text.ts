import { html, type TemplateResult } from 'lit';
import type { MentionView } from '../model.js';
import { segments } from './segments.js';

/** A message's text with its links and mentions: text nodes and links, whatever the text says. */
export function richText(text: string, mentions: readonly MentionView[], me: string): (string | TemplateResult)[] {
  return segments(text, mentions).map((segment) => {
    if (segment.kind === 'text') return segment.text;
    if (segment.kind === 'mention') {
      const mine = segment.user === '' || segment.user === me;
      return html`<span class="mention ${mine ? 'of-me' : ''}">${segment.text}</span>`;
    }
    return html`<a href=${segment.href} target="_blank" rel="noopener noreferrer nofollow" part="link">${segment.text}</a>`;
  });
}

/** The found words stand out: the beginnings of words, as the server finds them. */
export function highlighted(text: string, words: readonly string[]): (string | TemplateResult)[] {
  const wanted = words.filter((word) => word.length > 0).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  if (wanted.length === 0) return [text];
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(?:${wanted.join('|')})`, 'giu');
  const pieces: (string | TemplateResult)[] = [];
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > from) pieces.push(text.slice(from, match.index));
    pieces.push(html`<mark>${match[0]}</mark>`);
    from = match.index + match[0].length;
  }
  if (from < text.length) pieces.push(text.slice(from));
  return pieces;
}
