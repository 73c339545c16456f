import {
  type ConversationView,
  controls,
  conversationView,
  type Draft,
  type FileView,
  icons,
  type MentionView,
  type MessageAction,
  type MessageView,
  presenceText,
  preview,
  type State,
  type Store,
  say,
  type TidingsComposer,
  TidingsElement,
  type TidingsMessageView,
  timelineOf,
  tokens,
  typingText,
} from '@tidings/ui';
import { html, nothing } from 'lit';
import { chatStyles } from './chat-styles.js';
import { words } from './strings.js';

/** The open conversation: its head, its messages, and where one writes. */
export class ChatPane extends TidingsElement {
  static override properties = {
    store: { attribute: false },
    state: { attribute: false },
    key: {},
    files: { type: Boolean },
    aboutOpen: { type: Boolean },
    replyTo: { state: true },
    editing: { state: true },
    dropping: { state: true },
    draft: { state: true },
  };
  declare store: Store;
  declare state: State;
  declare key: string;
  declare files: boolean;
  declare aboutOpen: boolean;
  declare private replyTo: MessageView | undefined;
  declare private editing: MessageView | undefined;
  declare private dropping: boolean;
  declare private draft: string;

  static override styles = [tokens, controls, chatStyles];

  constructor() {
    super();
    this.draft = '';
    this.dropping = false;
  }

  protected override willUpdate(changed: Map<string, unknown>): void {
    if (!changed.has('key')) return;
    this.replyTo = undefined;
    this.editing = undefined;
    this.draft = this.state.drafts.get(this.key) ?? '';
  }

  protected override updated(changed: Map<string, unknown>): void {
    if (changed.has('key') && matchMedia('(pointer: fine)').matches) this.#composer?.focus();
  }

  get #composer(): TidingsComposer | null {
    return this.find('tidings-composer');
  }

  get view(): TidingsMessageView | null {
    return this.find('tidings-message-view');
  }

  #action(event: CustomEvent<{ message: MessageView; action: MessageAction }>): void {
    const { message, action } = event.detail;
    const { store, key } = this;
    if (action === 'reply') this.replyTo = message;
    else if (action === 'edit') this.editing = message;
    else if (action === 'recall') store.sending.recall(key, message);
    else if (action === 'pin') store.sending.pin(key, message);
    else if (action === 'info') this.tell('receipts', { group: key.slice(2), message });
    else if (action === 'forward') this.tell('forward', { message });
  }

  #send(event: CustomEvent<Draft>): void {
    this.replyTo = undefined;
    this.store.sending.send(this.key, event.detail).catch((error: unknown) => this.tell('problem', { error }));
    this.view?.scrollToNewest();
  }

  #edit(event: CustomEvent<{ message: MessageView; text: string; mentions: readonly MentionView[] }>): void {
    const { message, text, mentions } = event.detail;
    this.store.sending.edit(this.key, message, text, mentions);
  }

  #drafted(event: CustomEvent<{ text: string }>): void {
    if (this.editing) return;
    this.draft = event.detail.text;
    this.store.happened({ type: 'draft', key: this.key, text: this.draft });
  }

  #editLast(event: Event): void {
    const last = timelineOf(this.state, this.key).messages.findLast(
      (message) =>
        message.mine &&
        !message.gone &&
        message.text !== '' &&
        message.status !== 'sending' &&
        message.status !== 'failed',
    );
    if (!last) return;
    event.preventDefault();
    this.editing = last;
  }

  async #findMessage(event: CustomEvent<{ id: string }>): Promise<void> {
    const { id } = event.detail;
    const known = () => timelineOf(this.store.state, this.key).messages.find((message) => message.id === id);
    // A quote may be far back: pages are looked through, up to a bound.
    for (let pages = 0; pages < 10 && !known() && !timelineOf(this.store.state, this.key).atOldest; pages += 1)
      await this.store.loading.older(this.key);
    const message = known();
    if (!message) return;
    await this.updateComplete;
    this.view?.scrollToMessage(message.key);
  }

  #drag(event: DragEvent): void {
    if (!this.files || !event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    this.dropping =
      event.type !== 'dragleave' ||
      this.contains(event.relatedTarget as Node | null) ||
      (event.relatedTarget instanceof Node && this.shadowRoot?.contains(event.relatedTarget) === true);
  }

  #drop(event: DragEvent): void {
    if (!this.files) return;
    event.preventDefault();
    this.dropping = false;
    this.#composer?.addFiles(event.dataTransfer?.files ?? []);
  }

  protected override render() {
    const { state, store, key } = this;
    const conversation = conversationView(state, key, store.names);
    const timeline = timelineOf(state, key);
    const group = key.startsWith('g/') ? state.groups.get(key.slice(2)) : undefined;
    const isGroup = key.startsWith('g/');
    const pinned = timeline.messages.findLast((message) => message.pinned && !message.gone);
    const note = this.#note(conversation);
    const asked = (how: Promise<unknown>) => how.catch((error: unknown) => this.tell('problem', { error }));
    return html`<section class="pane ${this.dropping ? 'dropping' : ''}" aria-label=${conversation.name} @dragenter=${this.#drag} @dragover=${this.#drag} @dragleave=${this.#drag} @drop=${this.#drop}>
      <header>
        <button class="icon-button back" aria-label=${say('act.back')} @click=${() => this.tell('back')}>${icons.back(24)}</button>
        <button class="title" title=${words('about')} aria-expanded=${this.aboutOpen} @click=${() => this.tell('about')}>
          <tidings-avatar .user=${key.slice(2)} .name=${conversation.name} ?group=${isGroup} ?online=${conversation.presence?.state === 'online'}></tidings-avatar>
          <span class="names"><b class="clip" dir="auto">${conversation.name}</b>${this.#subtitle(conversation)}</span>
        </button>
        <button class="icon-button" aria-label=${words('about')} title=${words('about')} aria-pressed=${this.aboutOpen} @click=${() => this.tell('about')}>${icons.info(22)}</button>
      </header>
      ${
        pinned
          ? html`<button class="pinned" @click=${() => this.view?.scrollToMessage(pinned.key)}>${icons.pin(18)}<span><b>${words('pinnedMessage')}</b><span class="clip" dir="auto">${preview(pinned, state.me, store.names)}</span></span></button>`
          : nothing
      }
      <tidings-message-view
        .conversation=${key} .label=${conversation.name} .messages=${timeline.messages} .names=${store.names} .me=${state.me} ?group=${isGroup}
        ?may-manage=${group?.may.manage ?? false} may-forward ?read-only=${note !== undefined} ?has-older=${timeline.loaded && !timeline.atOldest} ?has-newer=${!timeline.atNewest}
        .loading=${timeline.loading || !timeline.loaded} .firstUnread=${timeline.firstUnread}
        @tidings-load-older=${() => asked(store.loading.older(key))} @tidings-load-newer=${() => asked(store.loading.newer(key))} @tidings-load-newest=${() => asked(store.loadNewest(key))}
        @tidings-read=${(event: CustomEvent<{ message: MessageView }>) => store.read(key, event.detail.message)}
        @tidings-react=${(event: CustomEvent<{ message: MessageView; emoji: string; off: boolean }>) => store.sending.react(key, event.detail.message, event.detail.emoji, event.detail.off)}
        @tidings-message-action=${this.#action} @tidings-find-message=${this.#findMessage}
        @tidings-retry=${(event: CustomEvent<{ message: MessageView }>) => asked(store.sending.retry(key, event.detail.message))}
        @tidings-show-file=${(event: CustomEvent<{ message: MessageView; file: FileView }>) => store.showFile(key, event.detail.message, event.detail.file)}
      ></tidings-message-view>
      <tidings-composer
        .conversation=${key} .members=${group?.members ?? []} .names=${store.names} .me=${state.me} .value=${this.draft} ?files=${this.files} polls .replyTo=${this.replyTo} .editing=${this.editing} .note=${note}
        @tidings-send=${this.#send} @tidings-edit=${this.#edit} @tidings-edit-last=${this.#editLast}
        @tidings-cancel-edit=${() => {
          this.editing = undefined;
        }} @tidings-cancel-reply=${() => {
          this.replyTo = undefined;
        }}
        @tidings-draft=${this.#drafted}
        @tidings-typing=${(event: CustomEvent<{ typing: boolean }>) => store.typing(key, event.detail.typing)}
      ></tidings-composer>
      ${this.dropping ? html`<div class="drop" aria-hidden="true"><span>${icons.attach(40)} ${say('composer.drop')}</span></div>` : nothing}
    </section>`;
  }

  #note(conversation: ConversationView): string | undefined {
    if (conversation.blocked) return say('composer.blocked', { name: conversation.name });
    const group = 'group' in conversation.peer ? this.state.groups.get(conversation.peer.group) : undefined;
    if (group?.paused) return say('composer.paused');
    if (group && !group.may.send) return say('composer.mayNot');
    return undefined;
  }

  #subtitle(conversation: ConversationView) {
    const isGroup = 'group' in conversation.peer;
    if (conversation.typing.length > 0)
      return html`<small class="clip live" role="status">${typingText(conversation.typing, isGroup, this.store.names)}</small>`;
    const group = 'group' in conversation.peer ? this.state.groups.get(conversation.peer.group) : undefined;
    if (isGroup) return html`<small class="clip">${group ? say('group.members', { count: group.count }) : ''}</small>`;
    return html`<small class="clip ${conversation.presence?.state === 'online' ? 'live' : ''}">${presenceText(conversation.presence)}</small>`;
  }
}

customElements.define('messenger-chat', ChatPane);
