import { css, html, nothing } from 'lit';
import '../composer/emoji-picker.js';
import { define } from '../define.js';
import { TidingsElement } from '../element.js';
import { icons } from '../icons.js';
import { say } from '../locale/locale.js';
import type { Key } from '../locale/strings.js';
import type { MessageView } from '../model.js';
import { placeNear } from '../place-near.js';
import { controls, scrollbars, tokens } from '../theme.js';
import { viewStyles } from './view-styles.js';

export const QUICK = ['👍', '❤️', '😂', '😮', '😢', '🙏'];

export type MessageAction = 'reply' | 'forward' | 'copy' | 'edit' | 'pin' | 'info' | 'recall';

const ACTIONS: readonly { readonly act: MessageAction; readonly icon: keyof typeof icons; readonly key: Key }[] = [
  { act: 'reply', icon: 'reply', key: 'act.reply' },
  { act: 'forward', icon: 'forward', key: 'act.forward' },
  { act: 'copy', icon: 'copy', key: 'act.copy' },
  { act: 'edit', icon: 'compose', key: 'act.edit' },
  { act: 'pin', icon: 'pin', key: 'act.pin' },
  { act: 'info', icon: 'info', key: 'act.info' },
  { act: 'recall', icon: 'bin', key: 'act.recall' },
];

/** What can be done with a message: a pop-up with quick reactions above and actions below. */
export class TidingsMessageMenu extends TidingsElement {
  static override properties = {
    message: { attribute: false },
    me: {},
    group: { type: Boolean },
    picking: { state: true },
    mayManage: { type: Boolean },
    mayWrite: { type: Boolean },
    mayForward: { type: Boolean },
  };
  declare message: MessageView | undefined;
  declare me: string;
  declare group: boolean;
  declare mayManage: boolean;
  declare mayWrite: boolean;
  declare mayForward: boolean;
  declare picking: boolean;
  #from: HTMLElement | undefined;

  constructor() {
    super();
    this.me = '';
    this.group = false;
    this.mayManage = false;
    this.mayWrite = true;
    this.mayForward = false;
    this.picking = false;
  }

  static override styles = [
    tokens,
    controls,
    scrollbars,
    viewStyles,
    css`
      :host {
        display: contents;
        background: none;
      }
    `,
  ];

  /** Opens beside an element; the browser gives the focus back to where it was. */
  async open(message: MessageView, near: DOMRect, from?: HTMLElement): Promise<void> {
    this.message = message;
    this.picking = false;
    this.#from = from;
    await this.updateComplete;
    const menu = this.find<HTMLElement>('.menu');
    if (!menu) return;
    menu.showPopover();
    placeNear(menu, near);
    menu.querySelector<HTMLElement>('.item')?.focus({ preventScroll: true });
  }

  close(): void {
    this.find<HTMLElement>('.menu')?.hidePopover();
  }

  #react(emoji: string): void {
    const message = this.message;
    if (!message) return;
    const off = message.reactions.some((reaction) => reaction.emoji === emoji && reaction.from === this.me);
    this.close();
    this.tell('react', { message, emoji, off });
  }

  #act(act: MessageAction): void {
    const message = this.message;
    this.close();
    if (message) this.tell('message-action', { message, action: act });
  }

  #offers(act: MessageAction, message: MessageView): boolean {
    switch (act) {
      case 'reply':
        return this.mayWrite;
      case 'forward':
        // A poll is of those who were asked.
        return this.mayForward && !message.poll;
      case 'copy':
        return message.text !== '';
      case 'edit':
        return message.mine && message.text !== '' && !message.poll;
      case 'pin':
        return this.mayWrite;
      case 'info':
        return message.mine && this.group;
      case 'recall':
        return message.mine || (this.group && this.mayManage);
    }
  }

  #keys(event: KeyboardEvent): void {
    const items = [...this.renderRoot.querySelectorAll<HTMLElement>('.item, .quick button')];
    const focused = items.indexOf(this.shadowRoot?.activeElement as HTMLElement);
    const step =
      event.key === 'ArrowDown' || event.key === 'ArrowRight'
        ? 1
        : event.key === 'ArrowUp' || event.key === 'ArrowLeft'
          ? -1
          : 0;
    if (step === 0 || this.picking) return;
    event.preventDefault();
    event.stopPropagation();
    items[(focused + step + items.length) % items.length]?.focus();
  }

  #toggled(event: Event): void {
    if ((event as Event & { newState: string }).newState !== 'closed') return;
    const from = this.#from;
    this.#from = undefined;
    from?.setAttribute('aria-expanded', 'false');
  }

  protected override render() {
    const message = this.message;
    return html`<div class="menu" popover="auto" part="menu" role="menu" aria-label=${say('act.more')} @keydown=${this.#keys} @toggle=${this.#toggled}>
      ${message ? this.#body(message) : nothing}
    </div>`;
  }

  #body(message: MessageView) {
    if (this.picking)
      return html`<tidings-emoji-picker @tidings-emoji=${(event: CustomEvent<{ emoji: string }>) => {
        event.stopPropagation();
        this.#react(event.detail.emoji);
      }}></tidings-emoji-picker>`;
    const mine = new Set(
      message.reactions.filter((reaction) => reaction.from === this.me).map((reaction) => reaction.emoji),
    );
    return html`${
      this.mayWrite && !message.poll
        ? html`<div class="quick" role="group" aria-label=${say('act.react')}>
            ${QUICK.map((emoji) => html`<button role="menuitemcheckbox" aria-checked=${mine.has(emoji)} aria-label="${say('act.react')} ${emoji}" @click=${() => this.#react(emoji)}>${emoji}</button>`)}
            <button role="menuitem" aria-label=${say('composer.emoji')} title=${say('composer.emoji')} @click=${() => {
              this.picking = true;
            }}>${icons.plus(22)}</button>
          </div>`
        : nothing
    }
    ${ACTIONS.filter(({ act }) => this.#offers(act, message)).map(
      ({
        act,
        icon,
        key,
      }) => html`<button class="item ${act === 'recall' ? 'danger' : ''}" role="menuitem" data-action=${act} @click=${() => this.#act(act)}>
        ${icons[icon](19)} ${say(act === 'pin' && message.pinned ? 'act.unpin' : key)}
      </button>`,
    )}`;
  }
}

define('tidings-message-menu', TidingsMessageMenu);
