import { html, nothing } from 'lit';
import { live } from 'lit/directives/live.js';
import '../avatar.js';
import { define } from '../define.js';
import { type Changed, TidingsElement } from '../element.js';
import { icons } from '../icons.js';
import { say } from '../locale/locale.js';
import { preview } from '../messages/event-text.js';
import type { MemberView, MentionView, MessageView, Names } from '../model.js';
import { placeNear } from '../place-near.js';
import { EVERYBODY, mentionAt, mentionsIn } from '../text/mentions.js';
import { byteLength } from '../text/utf8.js';
import { controls, scrollbars, tokens } from '../theme.js';
import { composerStyles } from './composer-styles.js';
import './emoji-picker.js';
import type { TidingsEmojiPicker } from './emoji-picker.js';

/** A message has at most so many attachments (message.proto). */
const MOST_FILES = 10;
/** What is typed is told so often at most; who sees it lets it fade a little later. */
const TYPING_EVERY_MS = 3000;
const IDLE_AFTER_MS = 4500;

export interface Draft {
  readonly text: string;
  readonly files: readonly File[];
  readonly mentions: readonly MentionView[];
  readonly replyTo: MessageView | undefined;
}

interface Chosen {
  readonly file: File;
  /** Of a picture: a `blob:` address, given back when it leaves. */
  readonly address: string | undefined;
}

/** Where a message is written: text that grows, files by button, paste and drop, emoji, mentions, answers and edits. */
export class TidingsComposer extends TidingsElement {
  static override properties = {
    conversation: {},
    members: { attribute: false },
    names: { attribute: false },
    me: {},
    replyTo: { attribute: false },
    editing: { attribute: false },
    value: {},
    files: { type: Boolean },
    polls: { type: Boolean },
    maxBytes: { type: Number, attribute: 'max-bytes' },
    note: {},
    chosen: { state: true },
    problem: { state: true },
    suggested: { state: true },
    at: { state: true },
  };
  declare conversation: string;
  /** Of a group: who can be mentioned. */
  declare members: readonly MemberView[];
  declare names: Names;
  declare me: string;
  declare replyTo: MessageView | undefined;
  declare editing: MessageView | undefined;
  declare value: string;
  /** Whether files can be attached. */
  declare files: boolean;
  /** Whether a poll can be begun: a button tells `new-poll`. */
  declare polls: boolean;
  declare maxBytes: number;
  /** Shown in the place of the field: why nobody writes here. */
  declare note: string | undefined;
  declare private chosen: readonly Chosen[];
  declare private problem: string;
  declare private suggested: readonly MemberView[];
  declare private at: number;
  #lastTyping = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #before = '';

  constructor() {
    super();
    this.conversation = '';
    this.members = [];
    this.names = (user) => user;
    this.me = '';
    this.value = '';
    this.files = false;
    this.polls = false;
    this.maxBytes = 60_000;
    this.chosen = [];
    this.problem = '';
    this.suggested = [];
    this.at = 0;
  }

  static override styles = [tokens, controls, scrollbars, composerStyles];

  override focus(): void {
    this.#field?.focus({ preventScroll: true });
  }

  /** As the button does: of pictures that were pasted or dropped anywhere. */
  addFiles(files: Iterable<File>): void {
    if (!this.files || this.editing) return;
    const added = [...files];
    if (this.chosen.length + added.length > MOST_FILES) this.problem = say('composer.tooMany');
    const room = added.slice(0, MOST_FILES - this.chosen.length);
    const picture = (file: File) => /^image\/(png|jpeg|gif|webp|avif|bmp)$/.test(file.type);
    this.chosen = [
      ...this.chosen,
      ...room.map((file) => ({ file, address: picture(file) ? URL.createObjectURL(file) : undefined })),
    ];
    this.focus();
  }

  get #field(): HTMLTextAreaElement | null {
    return this.find('textarea');
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#dropFiles();
    this.#stopTyping();
  }

  protected override willUpdate(changed: Changed): void {
    if (changed.has('conversation') && changed.get('conversation') !== undefined) {
      this.#dropFiles();
      this.suggested = [];
      this.problem = '';
    }
    if (changed.has('editing')) {
      if (this.editing) {
        if (!changed.get('editing')) this.#before = this.value;
        this.value = this.editing.text;
        this.#dropFiles();
      } else if (changed.get('editing')) this.value = this.#before;
    }
  }

  protected override updated(changed: Changed): void {
    if ((changed.has('editing') && this.editing) || (changed.has('replyTo') && this.replyTo)) {
      this.focus();
      this.#field?.setSelectionRange(this.value.length, this.value.length);
    }
    if (changed.has('value')) this.#grow();
  }

  /** Where the browser does not size the field by its content itself. */
  #grow(): void {
    const field = this.#field;
    if (!field || CSS.supports('field-sizing', 'content')) return;
    field.style.setProperty('height', 'auto');
    field.style.setProperty('height', `${Math.min(168, field.scrollHeight)}px`);
  }

  #dropFiles(): void {
    for (const { address } of this.chosen) if (address) URL.revokeObjectURL(address);
    this.chosen = [];
  }

  #input(event: Event): void {
    const field = event.target as HTMLTextAreaElement;
    this.value = field.value;
    this.problem = '';
    this.#suggest(field);
    this.tell('draft', { text: this.value });
    if (this.editing || this.value.trim() === '') return;
    const now = performance.now();
    if (this.#lastTyping === 0 || now - this.#lastTyping >= TYPING_EVERY_MS) {
      this.#lastTyping = now;
      this.tell('typing', { typing: true });
    }
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#stopTyping(), IDLE_AFTER_MS);
  }

  #stopTyping(): void {
    clearTimeout(this.#idle);
    if (this.#lastTyping > 0 && this.isConnected) this.tell('typing', { typing: false });
    this.#lastTyping = 0;
  }

  #suggest(field: HTMLTextAreaElement): void {
    const mention = this.members.length > 0 ? mentionAt(field.value, field.selectionStart) : undefined;
    if (!mention) {
      this.suggested = [];
      return;
    }
    const typed = mention.typed.toLowerCase();
    const everybody: MemberView = { user: EVERYBODY, name: say('composer.everybody'), role: 'member' };
    this.suggested = [...this.members.filter((member) => member.user !== this.me), everybody]
      .filter((member) => member.user.toLowerCase().startsWith(typed) || member.name.toLowerCase().startsWith(typed))
      .slice(0, 8);
    this.at = 0;
  }

  #mention(member: MemberView): void {
    const field = this.#field;
    const mention = field && mentionAt(field.value, field.selectionStart);
    if (!field || !mention) return;
    field.setRangeText(`@${member.user} `, mention.start, field.selectionStart, 'end');
    this.value = field.value;
    this.suggested = [];
    field.focus();
  }

  #keys(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (this.suggested.length > 0 && this.#suggestionKeys(event)) return;
    if (
      event.key === 'Enter' &&
      !event.shiftKey &&
      !event.ctrlKey &&
      !event.altKey &&
      !matchMedia('(pointer: coarse)').matches
    ) {
      event.preventDefault();
      this.#send();
    } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.#send();
    } else if (event.key === 'Escape' && (this.editing || this.replyTo)) {
      event.preventDefault();
      event.stopPropagation();
      this.#cancel();
    } else if (event.key === 'ArrowUp' && this.value === '' && !this.editing) {
      if (!this.tell('edit-last')) event.preventDefault();
    }
  }

  #suggestionKeys(event: KeyboardEvent): boolean {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step !== 0) this.at = (this.at + step + this.suggested.length) % this.suggested.length;
    else if (event.key === 'Enter' || event.key === 'Tab') this.#mention(this.suggested[this.at]!);
    else if (event.key === 'Escape') this.suggested = [];
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  #cancel(): void {
    if (this.editing) this.tell('cancel-edit');
    else this.tell('cancel-reply');
  }

  #send(): void {
    const text = this.value.trim();
    if (text === '' && this.chosen.length === 0) return;
    const over = byteLength(text) - this.maxBytes;
    if (over > 0) {
      this.problem = say('composer.tooLong', { count: over });
      return;
    }
    const mentions = mentionsIn(
      text,
      this.members.map((member) => member.user),
    );
    this.#stopTyping();
    if (this.editing) {
      const message = this.editing;
      if (text !== '' && text !== message.text) this.tell('edit', { message, text, mentions });
      this.tell('cancel-edit');
      return;
    }
    const draft: Draft = {
      text,
      files: this.chosen.map(({ file }) => file),
      mentions: this.members.length > 0 ? mentions : [],
      replyTo: this.replyTo,
    };
    this.#dropFiles();
    this.value = '';
    this.suggested = [];
    this.problem = '';
    this.tell('draft', { text: '' });
    this.tell('send', draft);
    this.focus();
  }

  #paste(event: ClipboardEvent): void {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0 || !this.files) return;
    event.preventDefault();
    this.addFiles(files);
  }

  #picked(event: Event): void {
    const input = event.target as HTMLInputElement;
    this.addFiles(input.files ?? []);
    input.value = '';
  }

  #remove(chosen: Chosen): void {
    if (chosen.address) URL.revokeObjectURL(chosen.address);
    this.chosen = this.chosen.filter((other) => other !== chosen);
    this.focus();
  }

  async #openEmoji(event: Event): Promise<void> {
    const button = event.currentTarget as HTMLElement;
    const box = this.find<HTMLElement>('.emoji-box');
    if (!box) return;
    box.togglePopover();
    if (!box.matches(':popover-open')) return;
    placeNear(box, button.getBoundingClientRect());
    box.querySelector<TidingsEmojiPicker>('tidings-emoji-picker')?.focus();
  }

  #emoji(event: CustomEvent<{ emoji: string }>): void {
    event.stopPropagation();
    const field = this.#field;
    if (!field) return;
    field.setRangeText(event.detail.emoji, field.selectionStart, field.selectionEnd, 'end');
    this.value = field.value;
    this.tell('draft', { text: this.value });
    this.find<HTMLElement>('.emoji-box')?.hidePopover();
    field.focus();
  }

  protected override render() {
    if (this.note) return html`<div class="note" part="note">${this.note}</div>`;
    const empty = this.value.trim() === '' && this.chosen.length === 0;
    return html`
      ${this.suggested.length > 0 ? this.#suggestions() : nothing}
      <form part="form" @submit=${(event: Event) => {
        event.preventDefault();
        this.#send();
      }}>
        ${this.#aim()} ${this.#tray()}
        ${this.problem ? html`<div class="problem" role="alert">${this.problem}</div>` : nothing}
        <div class="line">
          ${
            this.files && !this.editing
              ? html`<button type="button" class="icon-button" part="attach" title=${say('composer.attach')} aria-label=${say('composer.attach')} @click=${() => this.find<HTMLInputElement>('input[type=file]')?.click()}>${icons.attach(22)}</button
                  ><input type="file" multiple hidden aria-label=${say('composer.attach')} @change=${this.#picked} />`
              : nothing
          }
          ${
            this.polls && !this.editing
              ? html`<button type="button" class="icon-button" part="poll" title=${say('composer.poll')} aria-label=${say('composer.poll')} @click=${() => this.tell('new-poll')}>${icons.poll(22)}</button>`
              : nothing
          }
          <div class="box" part="box">
            <textarea rows="1" dir="auto" enterkeyhint="send" part="field" aria-label=${say('composer.label')} placeholder=${say('composer.placeholder')} aria-autocomplete=${this.members.length > 0 ? 'list' : 'none'}
              .value=${live(this.value)} @input=${this.#input} @keydown=${this.#keys} @paste=${this.#paste} @blur=${() => this.#stopTyping()}></textarea>
            <button type="button" class="icon-button" title=${say('composer.emoji')} aria-label=${say('composer.emoji')} aria-haspopup="dialog" @click=${this.#openEmoji}>${icons.smile(22)}</button>
          </div>
          <button type="submit" class="icon-button send" part="send" ?disabled=${empty} title=${say('composer.send')} aria-label=${say(this.editing ? 'act.save' : 'composer.send')}>${this.editing ? icons.check(22) : icons.send(22)}</button>
        </div>
      </form>
      <div class="menu emoji-box" popover="auto" role="dialog" aria-label=${say('emoji.label')}><tidings-emoji-picker @tidings-emoji=${this.#emoji}></tidings-emoji-picker></div>
    `;
  }

  /** What is answered or edited, above the field. */
  #aim() {
    const message = this.editing ?? this.replyTo;
    if (!message) return nothing;
    const head = this.editing
      ? say('composer.editing')
      : say('composer.replyTo', { name: message.mine ? say('view.you') : this.names(message.from) });
    const cancel = say(this.editing ? 'composer.cancelEdit' : 'composer.cancelReply');
    return html`<div class="context" part="context">
      ${this.editing ? icons.compose(20) : icons.reply(20)}
      <div><b class="clip">${head}</b><span class="clip" dir="auto">${preview(message, this.me, this.names)}</span></div>
      <button type="button" class="icon-button" title=${cancel} aria-label=${cancel} @click=${this.#cancel}>${icons.close(18)}</button>
    </div>`;
  }

  #tray() {
    if (this.chosen.length === 0) return nothing;
    return html`<ul class="tray" part="tray">
      ${this.chosen.map(
        (chosen) => html`<li>
          ${chosen.address ? html`<img src=${chosen.address} alt=${chosen.file.name} />` : html`<span>${icons.file(26)}<span class="clip">${chosen.file.name}</span></span>`}
          <button type="button" aria-label=${say('composer.remove', { name: chosen.file.name })} @click=${() => this.#remove(chosen)}>${icons.close(14)}</button>
        </li>`,
      )}
    </ul>`;
  }

  #suggestions() {
    return html`<div class="mentions" role="listbox" aria-label=${say('composer.mentions')}>
      ${this.suggested.map(
        (member, index) => html`<div role="option" aria-selected=${index === this.at} @mousedown=${(event: Event) => {
          event.preventDefault();
          this.#mention(member);
        }}>
          <tidings-avatar .user=${member.user} .name=${member.name}></tidings-avatar><span>${member.name} <small>@${member.user}</small></span>
        </div>`,
      )}
    </div>`;
  }
}

define('tidings-composer', TidingsComposer);
