import { html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import '../avatar.js';
import { define } from '../define.js';
import { TidingsElement } from '../element.js';
import { icons, ticks } from '../icons.js';
import { say, shortTime } from '../locale/locale.js';
import type { Key } from '../locale/strings.js';
import { preview } from '../messages/event-text.js';
import type { ConversationView, Names } from '../model.js';
import { placeNear } from '../place-near.js';
import { controls, scrollbars, tokens } from '../theme.js';
import { listStyles } from './list-styles.js';
import { typingText } from './typing-text.js';

export type ConversationAction =
  | 'mute'
  | 'unmute'
  | 'archive'
  | 'unarchive'
  | 'favourite'
  | 'unfavourite'
  | 'addContact'
  | 'removeContact'
  | 'block'
  | 'unblock'
  | 'markUnread'
  | 'markRead';

/** Favourites first, then by the newest message. */
export function inOrder(conversations: readonly ConversationView[]): ConversationView[] {
  return [...conversations].sort(
    (a, b) => Number(b.favourite) - Number(a.favourite) || b.lastAt - a.lastAt || a.name.localeCompare(b.name),
  );
}

/** All conversations of a user, each with its newest message, who is writing, and what is unread. */
export class TidingsConversationList extends TidingsElement {
  static override properties = {
    conversations: { attribute: false },
    selected: {},
    names: { attribute: false },
    me: {},
    filter: {},
    loading: { type: Boolean },
    showArchived: { state: true },
    acting: { state: true },
  };
  declare conversations: readonly ConversationView[];
  declare selected: string | undefined;
  declare names: Names;
  declare me: string;
  /** Only those whose name has it. */
  declare filter: string;
  declare loading: boolean;
  declare private showArchived: boolean;
  declare private acting: ConversationView | undefined;
  #from: HTMLElement | undefined;

  constructor() {
    super();
    this.conversations = [];
    this.names = (user) => user;
    this.me = '';
    this.filter = '';
    this.loading = false;
    this.showArchived = false;
  }

  static override styles = [tokens, controls, scrollbars, listStyles];

  #open(conversation: ConversationView): void {
    this.tell('open', { key: conversation.key });
  }

  async #menu(event: Event, conversation: ConversationView): Promise<void> {
    event.preventDefault();
    const row = event.currentTarget as HTMLElement;
    const mouse = event instanceof MouseEvent && event.type === 'contextmenu' && event.clientX > 0;
    const near = mouse ? new DOMRect(event.clientX, event.clientY, 0, 0) : row.getBoundingClientRect();
    this.acting = conversation;
    this.#from = row;
    await this.updateComplete;
    const menu = this.find<HTMLElement>('.menu');
    menu?.showPopover();
    if (menu) placeNear(menu, near);
    menu?.querySelector<HTMLElement>('.item')?.focus();
  }

  #act(action: ConversationAction): void {
    const conversation = this.acting;
    this.find<HTMLElement>('.menu')?.hidePopover();
    this.#from?.focus();
    if (conversation) this.tell('conversation-action', { key: conversation.key, action });
  }

  #keys(event: KeyboardEvent): void {
    const rows = [...this.renderRoot.querySelectorAll<HTMLElement>('.conversation')];
    const at = rows.indexOf(this.shadowRoot?.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    rows[Math.max(0, Math.min(rows.length - 1, to))]?.focus();
  }

  #menuKeys(event: KeyboardEvent): void {
    const items = [...this.renderRoot.querySelectorAll<HTMLElement>('.item')];
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    items[(items.indexOf(this.shadowRoot?.activeElement as HTMLElement) + step + items.length) % items.length]?.focus();
  }

  protected override render() {
    const wanted = this.filter.trim().toLocaleLowerCase();
    const matching = inOrder(this.conversations).filter((conversation) =>
      conversation.name.toLocaleLowerCase().includes(wanted),
    );
    const shown = matching.filter((conversation) => !conversation.archived);
    const archived = matching.filter((conversation) => conversation.archived);
    return html`<nav class="scrolls" aria-label=${say('list.label')} part="list" @keydown=${this.#keys}>
        ${shown.length + archived.length === 0 ? this.#nothing(wanted !== '') : nothing}
        <ul role="list">${repeat(
          shown,
          (conversation) => conversation.key,
          (conversation) => this.#row(conversation),
        )}</ul>
        ${
          archived.length === 0
            ? nothing
            : html`<button class="fold" aria-expanded=${this.showArchived} @click=${() => {
                this.showArchived = !this.showArchived;
              }}>${icons.archive(20)} <span>${say('list.archived')}</span> <small>${archived.length}</small></button>
              ${
                this.showArchived
                  ? html`<ul role="list">${repeat(
                      archived,
                      (conversation) => conversation.key,
                      (conversation) => this.#row(conversation),
                    )}</ul>`
                  : nothing
              }`
        }
        <slot></slot>
      </nav>
      <div class="menu" popover="auto" role="menu" part="menu" aria-label=${this.acting ? say('list.actions', { name: this.acting.name }) : say('act.more')} @keydown=${this.#menuKeys}>${this.acting ? this.#actions(this.acting) : nothing}</div>`;
  }

  #nothing(filtered: boolean) {
    if (this.loading)
      return html`<div class="ghosts" aria-hidden="true">${[1, 2, 3, 4, 5].map(() => html`<div class="ghost"><i></i><span></span></div>`)}</div>`;
    if (filtered) return html`<p class="none">${say('list.nothingFound')}</p>`;
    return html`<slot name="empty"><p class="none"><b>${say('list.empty')}</b>${say('list.emptyHint')}</p></slot>`;
  }

  #actions(conversation: ConversationView) {
    const muted = conversation.mutedUntil > Date.now();
    const person = 'user' in conversation.peer;
    const unread = conversation.unread > 0 || conversation.markedUnread;
    const offers: [ConversationAction, keyof typeof icons][] = [
      [unread ? 'markRead' : 'markUnread', 'unread'],
      [conversation.favourite ? 'unfavourite' : 'favourite', 'pin'],
      [muted ? 'unmute' : 'mute', muted ? 'bell' : 'bellOff'],
      [conversation.archived ? 'unarchive' : 'archive', 'archive'],
    ];
    if (person) offers.push([conversation.blocked ? 'unblock' : 'block', 'block']);
    return offers.map(
      ([action, icon]) =>
        html`<button class="item ${action === 'block' ? 'danger' : ''}" role="menuitem" data-action=${action} @click=${() => this.#act(action)}>${icons[icon](19)} ${say(`act.${action}` as Key)}</button>`,
    );
  }

  #row(conversation: ConversationView) {
    const { unread, name } = conversation;
    const group = 'group' in conversation.peer;
    const id = group ? conversation.key.slice(2) : (conversation.peer as { user: string }).user;
    const muted = conversation.mutedUntil > Date.now();
    const selected = conversation.key === this.selected;
    const badge =
      unread > 0 ? say('list.unread', { count: unread }) : conversation.markedUnread ? say('list.markedUnread') : '';
    return html`<li>
      <button class="conversation ${selected ? 'selected' : ''} ${unread > 0 ? 'unread' : ''}" part="conversation ${selected ? 'selected' : ''}" aria-current=${selected ? 'true' : nothing} data-key=${conversation.key} @click=${() => this.#open(conversation)} @contextmenu=${(event: Event) => this.#menu(event, conversation)}>
        <tidings-avatar .user=${id} .name=${name} ?group=${group} ?online=${conversation.presence?.state === 'online'}></tidings-avatar>
        <span class="words">
          <span class="top"><b class="clip" dir="auto">${name}</b>${muted ? html`<span class="small" title=${say('list.muted')}>${icons.bellOff(14)}</span>` : nothing}<time class="small">${shortTime(conversation.lastAt)}</time></span>
          <span class="bottom"><span class="clip said" dir="auto">${this.#summary(conversation)}</span>
            ${conversation.favourite && !badge ? html`<span class="small" title=${say('list.favourite')}>${icons.pin(15)}</span>` : nothing}
            ${conversation.mentioned && unread > 0 ? html`<span class="badge at" aria-hidden="true">@</span>` : nothing}
            ${badge ? html`<span class="badge ${muted ? 'quiet' : ''}"><span aria-hidden="true">${unread > 0 ? (unread > 999 ? '999+' : unread) : ''}</span><span class="unseen">${badge}</span></span>` : nothing}
          </span>
        </span>
      </button>
    </li>`;
  }

  #summary(conversation: ConversationView) {
    const group = 'group' in conversation.peer;
    if (conversation.typing.length > 0)
      return html`<span class="typing">${typingText(conversation.typing, group, this.names)}</span>`;
    if (conversation.draft && conversation.key !== this.selected)
      return html`<span class="draft">${say('list.draft')}</span> ${conversation.draft}`;
    const { last } = conversation;
    if (!last) return nothing;
    const words = preview(last, this.me, this.names);
    if (last.event || last.gone) return html`<i>${words}</i>`;
    if (last.mine)
      return html`${this.#mark(last.status)}${group ? html`<span class="who">${say('list.you')}</span> ` : nothing}${words}`;
    return html`${group ? html`<span class="who">${this.names(last.from)}:</span> ` : nothing}${words}`;
  }

  #mark(status: string | undefined) {
    if (status === 'failed') return html`<span class="status failed">${icons.warning(14)}</span>`;
    if (status === 'sending') return html`<span class="status">${icons.clock(13)}</span>`;
    return html`<span class="status ${status ?? ''}">${ticks(status === 'delivered' || status === 'read')}</span>`;
  }
}

define('tidings-conversation-list', TidingsConversationList);
