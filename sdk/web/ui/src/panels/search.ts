import { css, html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import '../avatar.js';
import { define } from '../define.js';
import { type Changed, TidingsElement } from '../element.js';
import { icons } from '../icons.js';
import { say, shortTime } from '../locale/locale.js';
import { preview } from '../messages/event-text.js';
import type { ConversationView, MessageView, Names } from '../model.js';
import { highlighted } from '../text/rich-text.js';
import { controls, scrollbars, tokens } from '../theme.js';
import { listStyles } from './list-styles.js';

/** The field waits so long after the last key before it asks. */
const ASK_AFTER_MS = 220;

export interface FoundView {
  readonly conversation: string;
  readonly name: string;
  readonly message: MessageView;
}

/** A field, and what it finds: conversations by name at once, messages by the server. */
export class TidingsSearch extends TidingsElement {
  static override properties = {
    text: {},
    conversations: { attribute: false },
    found: { attribute: false },
    hasMore: { type: Boolean, attribute: 'has-more' },
    working: { type: Boolean },
    problem: {},
    names: { attribute: false },
    me: {},
    label: {},
  };
  declare text: string;
  declare conversations: readonly ConversationView[];
  declare found: readonly FoundView[];
  declare hasMore: boolean;
  declare working: boolean;
  declare problem: string;
  declare names: Names;
  declare me: string;
  /** What the field says while it is empty. */
  declare label: string;
  #asking: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.text = '';
    this.conversations = [];
    this.found = [];
    this.hasMore = false;
    this.working = false;
    this.problem = '';
    this.names = (user) => user;
    this.me = '';
    this.label = '';
  }

  static override styles = [
    tokens,
    controls,
    scrollbars,
    listStyles,
    css`
      :host {
        display: flex;
        flex-direction: column;
      }
      .bar {
        position: relative;
        padding: 6px 12px 8px;
      }
      .bar > svg {
        position: absolute;
        inset-inline-start: 24px;
        inset-block-start: 17px;
        color: var(--_muted);
        pointer-events: none;
      }
      .bar .field {
        padding-inline: 40px 40px;
        border-radius: 20px;
      }
      input::-webkit-search-cancel-button {
        display: none;
      }
      .bar .icon-button {
        position: absolute;
        inset-inline-end: 14px;
        inset-block-start: 8px;
        inline-size: 36px;
        block-size: 36px;
      }
      .results {
        position: relative;
        flex: 1;
        min-block-size: 0;
        overflow-y: auto;
        padding: 0 8px 12px;
      }
      h3 {
        margin: 10px 10px 4px;
        font-size: 0.8125rem;
        font-weight: 600;
        color: var(--_muted);
      }
      mark {
        background: color-mix(in srgb, var(--_accent) 24%, transparent);
        color: var(--_text);
        border-radius: 3px;
      }
      .more {
        margin: 8px auto;
        display: block;
      }
    `,
  ];

  override focus(): void {
    this.find<HTMLInputElement>('input')?.focus();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#asking);
  }

  protected override updated(changed: Changed): void {
    if (!changed.has('text') || changed.get('text') === undefined) return;
    clearTimeout(this.#asking);
    const text = this.text.trim();
    this.#asking = setTimeout(() => this.tell('search', { text }), text === '' ? 0 : ASK_AFTER_MS);
  }

  #input(event: Event): void {
    this.text = (event.target as HTMLInputElement).value;
    this.tell('search-text', { text: this.text });
  }

  #clear(): void {
    this.text = '';
    this.tell('search-text', { text: '' });
    this.focus();
  }

  #keys(event: KeyboardEvent): void {
    if (event.key === 'Escape' && this.text !== '') {
      event.preventDefault();
      event.stopPropagation();
      this.#clear();
    } else if (event.key === 'ArrowDown') {
      event.preventDefault();
      this.find<HTMLElement>('.conversation')?.focus();
    }
  }

  #walk(event: KeyboardEvent): void {
    const rows = [...this.renderRoot.querySelectorAll<HTMLElement>('.conversation')];
    const at = rows.indexOf(this.shadowRoot?.activeElement as HTMLElement);
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0 || at < 0) return;
    event.preventDefault();
    if (at + step < 0) this.focus();
    else rows[at + step]?.focus();
  }

  protected override render() {
    const text = this.text.trim();
    const label = this.label || say('search.placeholder');
    return html`<div class="bar" role="search">
        ${icons.search(18)}
        <input class="field" part="field" type="search" maxlength="256" enterkeyhint="search" autocomplete="off" aria-label=${this.label || say('search.label')} placeholder=${label} .value=${this.text} @input=${this.#input} @keydown=${this.#keys} />
        ${this.text ? html`<button class="icon-button" aria-label=${say('search.clear')} title=${say('search.clear')} @click=${this.#clear}>${icons.close(18)}</button>` : nothing}
      </div>
      ${text === '' ? nothing : html`<div class="results scrolls" part="results" @keydown=${this.#walk}>${this.#results(text)}</div>`}`;
  }

  #results(text: string) {
    const wanted = text.toLocaleLowerCase();
    const words = text.split(/\s+/);
    const people = this.conversations
      .filter((conversation) => conversation.name.toLocaleLowerCase().includes(wanted))
      .slice(0, 8);
    const none = people.length === 0 && this.found.length === 0;
    return html`
      ${
        people.length === 0
          ? nothing
          : html`<h3>${say('search.conversations')}</h3>
              ${people.map((conversation) => {
                const group = 'group' in conversation.peer;
                return html`<button class="conversation" data-key=${conversation.key} @click=${() => this.tell('open', { key: conversation.key })}>
                  <tidings-avatar .user=${conversation.key.slice(2)} .name=${conversation.name} ?group=${group} ?online=${conversation.presence?.state === 'online'}></tidings-avatar>
                  <span class="words"><b class="clip" dir="auto">${highlighted(conversation.name, words)}</b></span>
                </button>`;
              })}`
      }
      ${
        this.found.length === 0
          ? nothing
          : html`<h3>${say('search.messages')}</h3>
              ${repeat(
                this.found,
                ({ conversation, message }) => `${conversation} ${message.id}`,
                ({
                  conversation,
                  name,
                  message,
                }) => html`<button class="conversation" data-id=${message.id} @click=${() => this.tell('open-message', { key: conversation, message })}>
                  <tidings-avatar .user=${conversation.slice(2)} .name=${name} ?group=${conversation.startsWith('g/')}></tidings-avatar>
                  <span class="words">
                    <span class="top"><b class="clip" dir="auto">${name}</b><time class="small">${shortTime(message.at)}</time></span>
                    <span class="said clip" dir="auto">${message.mine ? html`<span class="who">${say('list.you')}</span> ` : nothing}${highlighted(this.#around(message, words), words)}</span>
                  </span>
                </button>`,
              )}`
      }
      ${this.hasMore ? html`<button class="button more" @click=${() => this.tell('search-more')}>${say('search.more')}</button>` : nothing}
      <p class="none" role="status">${this.problem ? say('search.failed', { reason: this.problem }) : this.working ? `${say('search.working')}…` : none ? say('search.nothing', { text }) : ''}</p>
    `;
  }

  /** A long message from a little before the first word that was found. */
  #around(message: MessageView, words: readonly string[]): string {
    const text = preview(message, this.me, this.names);
    const at = text.toLocaleLowerCase().indexOf((words[0] ?? '').toLocaleLowerCase());
    return at > 28 ? `…${text.slice(at - 20, at + 160)}` : text.slice(0, 200);
  }
}

define('tidings-search', TidingsSearch);
