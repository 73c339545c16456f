import { html, nothing } from 'lit';
import '../avatar.js';
import { define } from '../define.js';
import { TidingsElement } from '../element.js';
import { icons } from '../icons.js';
import { say } from '../locale/locale.js';
import type { ConversationView, FileView, MessageView } from '../model.js';
import { controls, scrollbars, tokens } from '../theme.js';
import type { ConversationAction } from './conversation-list.js';
import { panelStyles } from './panel-styles.js';
import { presenceText } from './presence-text.js';

/** About the other person of a conversation: presence, settings of the conversation, pictures. */
export class TidingsProfile extends TidingsElement {
  static override properties = { conversation: { attribute: false }, messages: { attribute: false } };
  declare conversation: ConversationView | undefined;
  /** Those of the conversation: their pictures are shown. */
  declare messages: readonly MessageView[];

  constructor() {
    super();
    this.messages = [];
  }

  static override styles = [tokens, controls, scrollbars, panelStyles];

  #act(action: ConversationAction): void {
    if (this.conversation) this.tell('conversation-action', { key: this.conversation.key, action });
  }

  protected override render() {
    const { conversation } = this;
    if (!conversation || !('user' in conversation.peer)) return nothing;
    const { user } = conversation.peer;
    const muted = conversation.mutedUntil > Date.now();
    const online = conversation.presence?.state === 'online';
    return html`<section class="scrolls" aria-label=${say('profile.label', { name: conversation.name })} part="panel">
      <header>
        <tidings-avatar .user=${user} .name=${conversation.name}></tidings-avatar>
        <h2 class="clip" dir="auto">${conversation.name}</h2>
        <span class="sub ${online ? 'online' : ''}">${presenceText(conversation.presence)}</span>
        <slot name="actions"></slot>
      </header>
      <div class="rows"><div class="fact"><span dir="auto">${user}</span><small>${say('profile.id')}</small></div></div>
      <div class="rows">
        <button class="act" @click=${() => this.#act(muted ? 'unmute' : 'mute')}>${muted ? icons.bell() : icons.bellOff()} ${say(muted ? 'act.unmute' : 'act.mute')}</button>
        <button class="act" @click=${() => this.#act(conversation.favourite ? 'unfavourite' : 'favourite')}>${icons.pin()} ${say(conversation.favourite ? 'act.unfavourite' : 'act.favourite')}</button>
        <button class="act" @click=${() => this.#act(conversation.archived ? 'unarchive' : 'archive')}>${icons.archive()} ${say(conversation.archived ? 'act.unarchive' : 'act.archive')}</button>
        <button class="act" @click=${() => this.#act(conversation.contact ? 'removeContact' : 'addContact')}>${icons.person()} ${say(conversation.contact ? 'act.removeContact' : 'act.addContact')}</button>
        <button class="act danger" @click=${() => this.#act(conversation.blocked ? 'unblock' : 'block')}>${icons.block()} ${say(conversation.blocked ? 'act.unblock' : 'act.block')}</button>
      </div>
      <div class="rows"><h3>${say('profile.media')}</h3>${pictureGrid(this.messages, (message, file) => this.tell('open-file', { message, file }))}</div>
      <slot></slot>
    </section>`;
  }
}

/** The pictures of these messages, the newest first. */
export function pictureGrid(messages: readonly MessageView[], open: (message: MessageView, file: FileView) => void) {
  const pictures: { message: MessageView; file: FileView }[] = [];
  for (let index = messages.length - 1; index >= 0 && pictures.length < 60; index -= 1) {
    const message = messages[index]!;
    if (message.gone) continue;
    for (const file of message.files) {
      if (file.mediaType.startsWith('image/') && (file.thumbnail || file.address)) pictures.push({ message, file });
    }
  }
  if (pictures.length === 0) return html`<p class="none">${say('profile.noMedia')}</p>`;
  return html`<div class="grid">${pictures.map(({ message, file }) => html`<button aria-label="${say('act.open')}: ${file.name}" @click=${() => open(message, file)}><img src=${file.address ?? file.thumbnail ?? ''} alt="" loading="lazy" /></button>`)}</div>`;
}

define('tidings-profile', TidingsProfile);
