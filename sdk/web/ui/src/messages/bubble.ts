import { html, nothing, type TemplateResult } from 'lit';
import { hueOf } from '../avatar.js';
import { icons, ticks } from '../icons.js';
import { clockTime, fullTime, listOf, say } from '../locale/locale.js';
import type { FileView, MessageView, Names } from '../model.js';
import { richText } from '../text/rich-text.js';
import { direction, onlyEmoji } from '../text/segments.js';
import { preview } from './event-text.js';
import { filesOf } from './files.js';
import { pollOf } from './poll.js';
import type { Row } from './rows.js';

/** What a bubble needs to know of the view that it is in, and what it can have done. */
export interface BubbleContext {
  readonly me: string;
  readonly names: Names;
  readonly group: boolean;
  readonly quoted: (id: string) => MessageView | undefined;
  readonly react: (message: MessageView, emoji: string, off: boolean) => void;
  readonly openMenu: (message: MessageView, at: HTMLElement) => void;
  readonly openFile: (message: MessageView, file: FileView) => void;
  /** Its address does not answer: it may have run out. */
  readonly fileFailed: (message: MessageView, file: FileView) => void;
  readonly openQuoted: (id: string) => void;
  readonly openProfile: (user: string) => void;
  readonly retry: (message: MessageView) => void;
}

export type MessageRow = Extract<Row, { kind: 'message' }>;

function statusMark(message: MessageView): TemplateResult | typeof nothing {
  if (!message.mine || message.gone) return nothing;
  switch (message.status) {
    case 'sending':
      return icons.clock(12);
    case 'failed':
      return icons.warning(13);
    case 'delivered':
    case 'read':
      return ticks(true);
    default:
      return ticks(false);
  }
}

function meta(message: MessageView): TemplateResult {
  return html`${message.pinned ? icons.pin(11) : nothing}${message.disappearsAt ? html`<span title=${say('view.disappearing')}>${icons.clock(11)}</span>` : nothing}${message.editedAt && !message.gone ? html`<span>${say('view.edited')}</span>` : nothing}<time datetime=${new Date(message.at).toISOString()} title=${fullTime(message.at)}>${clockTime(message.at)}</time>${statusMark(message)}`;
}

function quote(message: MessageView, context: BubbleContext): TemplateResult | typeof nothing {
  const id = message.replyTo;
  if (!id) return nothing;
  const quoted = context.quoted(id);
  const name = quoted ? (quoted.from === context.me ? say('view.you') : context.names(quoted.from)) : '';
  return html`<button class="quote ${quoted ? `hue-${hueOf(quoted.from)}` : ''}" part="quote" @click=${() => context.openQuoted(id)}>
    ${name ? html`<b class="clip">${name}</b>` : nothing}<span class="clip" dir="auto">${quoted ? preview(quoted, context.me, context.names) : say('view.replyGone')}</span>
  </button>`;
}

/** One chip for each emoji, the most used one first. */
function reactions(message: MessageView, context: BubbleContext): TemplateResult | typeof nothing {
  if (message.reactions.length === 0 || message.poll) return nothing;
  const by = new Map<string, string[]>();
  for (const reaction of message.reactions) by.set(reaction.emoji, [...(by.get(reaction.emoji) ?? []), reaction.from]);
  const sorted = [...by].sort((a, b) => b[1].length - a[1].length);
  return html`<div class="reactions" part="reactions">
    ${sorted.map(([emoji, users]) => {
      const mine = users.includes(context.me);
      const names = listOf(
        users.slice(0, 12).map((user) => (user === context.me ? say('view.you') : context.names(user))),
      );
      const label = say('view.reactions', { emoji, names });
      return html`<button class="chip ${mine ? 'mine' : ''}" aria-pressed=${mine} title=${label} @click=${() => context.react(message, emoji, mine)}>
        <span>${emoji}</span>${users.length > 1 || context.group ? html`<span>${users.length}</span>` : nothing}<span class="unseen">${names}</span>
      </button>`;
    })}
  </div>`;
}

function goneText(message: MessageView, context: BubbleContext): string {
  if (message.gone === 'wiped') return say('view.wiped');
  return message.mine ? say('view.recalledByYou') : say('view.recalled', { name: context.names(message.from) });
}

function content(message: MessageView, context: BubbleContext): TemplateResult | typeof nothing {
  if (message.gone) {
    return html`<div class="text gone">${goneText(message, context)}<span class="meta-room" aria-hidden="true">${meta(message)}</span></div>`;
  }
  const room = html`<span class="meta-room" aria-hidden="true">${meta(message)}</span>`;
  const title = message.title ? html`<b class="title" dir="auto">${message.title}</b>` : nothing;
  if (!message.text && !message.title) return nothing;
  return html`${title}<div class="text" part="text">${richText(message.text, message.mentions, context.me)}${room}</div>`;
}

/** A bubble in its row, with what belongs to it. All that a person wrote is text in it. */
export function bubble(row: MessageRow, context: BubbleContext): TemplateResult {
  const { message } = row;
  const emoji =
    !message.gone && message.files.length === 0 && !message.replyTo && !message.title && !message.poll
      ? onlyEmoji(message.text)
      : 0;
  const pictures =
    !message.gone && message.files.length > 0 && message.files.every((file) => file.mediaType.startsWith('image/'));
  const textless = !message.text && !message.title && !message.gone;
  // Where the text runs against the page, its end is not where the time stands: the styles put that into a line of its own.
  const runs = direction(message.gone ? goneText(message, context) : message.text);
  const ownLine = (textless && !pictures) || !!message.poll || !!message.location;
  const showName = context.group && !message.mine && row.first;
  const classes = [
    'bubble',
    emoji ? 'emoji' : '',
    pictures ? 'pictures' : '',
    pictures && textless ? 'over' : '',
    ownLine ? 'own-line' : '',
    runs ? `runs-${runs}` : '',
  ].join(' ');
  return html`
    ${
      context.group && !message.mine
        ? html`<span class="who">${
            row.last
              ? html`<tidings-avatar .user=${message.from} .name=${context.names(message.from)} @click=${() => context.openProfile(message.from)}></tidings-avatar>`
              : nothing
          }</span>`
        : nothing
    }
    <div class="column">
      <div class=${classes} part="bubble ${message.mine ? 'out' : 'in'}">
        ${showName ? html`<span class="sender hue-${hueOf(message.from)}" part="sender">${context.names(message.from)}</span>` : nothing}
        ${message.pinned && !message.gone ? html`<span class="mark">${icons.pin(12)} ${say('view.pinned')}</span>` : nothing}
        ${message.forwarded && !message.gone ? html`<span class="mark">${icons.forward(12)} ${say('view.forwarded')}</span>` : nothing}
        ${message.gone ? nothing : quote(message, context)}
        ${message.gone ? nothing : filesOf(message, context)}
        ${message.gone || !message.poll ? nothing : pollOf(message, message.poll, context)}
        ${
          message.gone || !message.location
            ? nothing
            : html`<a class="place" target="_blank" rel="noopener noreferrer" href="https://www.openstreetmap.org/?mlat=${message.location.latitude}&mlon=${message.location.longitude}#map=16/${message.location.latitude}/${message.location.longitude}">${icons.place(22)}<span>${message.location.latitude.toFixed(5)}, ${message.location.longitude.toFixed(5)}</span></a>`
        }
        ${content(message, context)}
        <span class="meta ${message.status ?? ''}" part="meta">${meta(message)}${message.mine && message.status ? html`<span class="unseen">${say(`status.${message.status}`)}</span>` : nothing}</span>
      </div>
      ${message.gone ? nothing : reactions(message, context)}
      ${
        message.status === 'failed'
          ? html`<div class="reason" role="status">${message.reason ?? say('status.failed')} <button @click=${() => context.retry(message)}>${say('act.retry')}</button></div>`
          : nothing
      }
    </div>
    ${
      message.gone || message.status === 'sending' || message.status === 'failed'
        ? nothing
        : html`<span class="beside"><button class="icon-button" tabindex="-1" aria-haspopup="menu" title=${say('act.more')} aria-label=${say('act.more')} @click=${(event: Event) => context.openMenu(message, event.currentTarget as HTMLElement)}>${icons.smile(18)}</button></span>`
    }
  `;
}

/** What a screen reader says of a message. */
export function spoken(message: MessageView, context: Pick<BubbleContext, 'me' | 'names'>): string {
  const name = message.mine ? say('view.you') : context.names(message.from);
  const status = message.mine && message.status ? `, ${say(`status.${message.status}`)}` : '';
  return `${say('view.received', { name, text: preview(message, context.me, context.names) })}, ${clockTime(message.at)}${status}`;
}
