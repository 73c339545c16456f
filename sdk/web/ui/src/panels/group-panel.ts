import { html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import '../avatar.js';
import { define } from '../define.js';
import { type Changed, TidingsElement } from '../element.js';
import { icons } from '../icons.js';
import { say } from '../locale/locale.js';
import type { ConversationView, GroupView, MemberView, MessageView } from '../model.js';
import { placeNear } from '../place-near.js';
import { controls, scrollbars, tokens } from '../theme.js';
import type { ConversationAction } from './conversation-list.js';
import { panelStyles } from './panel-styles.js';
import { presenceText } from './presence-text.js';
import { pictureGrid } from './profile.js';

/** What a person wants done to a group; the permissions of the server have the last word. */
export type GroupAction =
  | { readonly act: 'add'; readonly users: readonly string[] }
  | { readonly act: 'remove'; readonly user: string }
  | { readonly act: 'role'; readonly user: string; readonly role: 'member' | 'admin' | 'owner' }
  | { readonly act: 'rename'; readonly name: string }
  | { readonly act: 'pause'; readonly paused: boolean }
  | { readonly act: 'leave' }
  | { readonly act: 'delete' }
  | { readonly act: 'more-members' };

/** About a group: its members and what the user may do with them. */
export class TidingsGroupPanel extends TidingsElement {
  static override properties = {
    group: { attribute: false },
    conversation: { attribute: false },
    messages: { attribute: false },
    problem: {},
    hasMore: { type: Boolean, attribute: 'has-more' },
    renaming: { state: true },
    adding: { state: true },
    sure: { state: true },
    acting: { state: true },
  };
  declare group: GroupView | undefined;
  declare conversation: ConversationView | undefined;
  declare messages: readonly MessageView[];
  /** Why the last action did not work. */
  declare problem: string;
  declare hasMore: boolean;
  declare private renaming: boolean;
  declare private adding: boolean;
  declare private sure: 'leave' | 'delete' | undefined;
  declare private acting: MemberView | undefined;

  constructor() {
    super();
    this.messages = [];
    this.problem = '';
    this.hasMore = false;
    this.renaming = false;
    this.adding = false;
  }

  static override styles = [tokens, controls, scrollbars, panelStyles];

  protected override willUpdate(changed: Changed): void {
    const before = changed.get('group') as GroupView | undefined;
    if (before && before.id !== this.group?.id) {
      this.renaming = false;
      this.adding = false;
      this.sure = undefined;
    }
  }

  protected override updated(changed: Changed): void {
    if ((changed.has('renaming') && this.renaming) || (changed.has('adding') && this.adding))
      this.find<HTMLInputElement>('input.field')?.focus();
    if (changed.has('sure') && this.sure) this.find<HTMLElement>('.danger.sure')?.focus();
  }

  #do(action: GroupAction): void {
    if (this.group) this.tell('group-action', { group: this.group.id, ...action });
  }

  #rename(event: SubmitEvent): void {
    event.preventDefault();
    const name = new FormData(event.target as HTMLFormElement).get('name');
    if (typeof name === 'string' && name.trim() !== '') this.#do({ act: 'rename', name: name.trim() });
    this.renaming = false;
  }

  #add(event: SubmitEvent): void {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const users = String(new FormData(form).get('users') ?? '')
      .split(/[\s,;]+/)
      .map((user) => user.replace(/^@/, ''))
      .filter((user) => user !== '');
    if (users.length > 0) this.#do({ act: 'add', users });
    form.reset();
  }

  async #menu(event: Event, member: MemberView): Promise<void> {
    const button = event.currentTarget as HTMLElement;
    this.acting = member;
    await this.updateComplete;
    const menu = this.find<HTMLElement>('.menu');
    menu?.showPopover();
    if (menu) placeNear(menu, button.getBoundingClientRect());
    menu?.querySelector<HTMLElement>('.item')?.focus();
  }

  #close(action: GroupAction): void {
    this.find<HTMLElement>('.menu')?.hidePopover();
    this.#do(action);
  }

  protected override render() {
    const { group, conversation } = this;
    if (!group) return nothing;
    const muted = (conversation?.mutedUntil ?? 0) > Date.now();
    const settings: [ConversationAction, keyof typeof icons][] = [
      [muted ? 'unmute' : 'mute', muted ? 'bell' : 'bellOff'],
      [conversation?.favourite ? 'unfavourite' : 'favourite', 'pin'],
      [conversation?.archived ? 'unarchive' : 'archive', 'archive'],
    ];
    return html`<section class="scrolls" aria-label=${say('group.label', { name: group.name })} part="panel">
        <header>
          <tidings-avatar .user=${group.id} .name=${group.name} group></tidings-avatar>
          ${this.renaming ? this.#renameForm(group) : html`<h2 class="clip" dir="auto">${group.name}</h2>`}
          <span class="sub">${say('group.members', { count: group.count })}${group.kind === 'announcement' ? ` · ${say('group.announcement')}` : ''}</span>
          <slot name="actions"></slot>
        </header>
        ${this.problem ? html`<p class="problem" role="alert">${this.problem}</p>` : nothing}
        <div class="rows">
          ${
            group.may.add
              ? html`<button class="act" aria-expanded=${this.adding} @click=${() => {
                  this.adding = !this.adding;
                }}>${icons.addPerson()} ${say('group.add')}</button>`
              : nothing
          }
          ${
            this.adding
              ? html`<form class="line" @submit=${this.#add}><input class="field" name="users" autocomplete="off" autocapitalize="off" aria-label=${say('group.addPlaceholder')} placeholder=${say('group.addPlaceholder')} /><button class="button">${say('group.addAction')}</button></form>`
              : nothing
          }
          ${
            group.may.manage
              ? html`<button class="act" @click=${() => {
                  this.renaming = true;
                }}>${icons.compose()} ${say('group.rename')}</button>
                  <button class="act" @click=${() => this.#do({ act: 'pause', paused: !group.paused })}>${icons.clock()} ${say(group.paused ? 'group.resume' : 'group.pause')}</button>`
              : nothing
          }
          ${conversation ? settings.map(([action, icon]) => html`<button class="act" @click=${() => this.tell('conversation-action', { key: conversation.key, action })}>${icons[icon]()} ${say(`act.${action}`)}</button>`) : nothing}
        </div>
        ${group.may.list ? this.#members(group) : nothing}
        <div class="rows"><h3>${say('profile.media')}</h3>${pictureGrid(this.messages, (message, file) => this.tell('open-file', { message, file }))}</div>
        <div class="rows">${this.#leave(group)}</div>
        <slot></slot>
      </section>
      <div class="menu" popover="auto" role="menu" aria-label=${this.acting ? say('group.actions', { name: this.acting.name }) : say('act.more')}>${this.acting ? this.#actions(group, this.acting) : nothing}</div>`;
  }

  #renameForm(group: GroupView) {
    return html`<form class="line" @submit=${this.#rename}>
      <input class="field" name="name" maxlength="100" aria-label=${say('group.name')} .value=${group.name} @keydown=${(
        event: KeyboardEvent,
      ) => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          this.renaming = false;
        }
      }} />
      <button class="button">${say('act.save')}</button>
    </form>`;
  }

  #leave(group: GroupView) {
    if (this.sure) {
      const act = this.sure;
      return html`<p class="none">${say(act === 'leave' ? 'group.leaveSure' : 'group.deleteSure', { name: group.name })}</p>
        <div class="line">
          <button class="button danger sure" @click=${() => {
            this.sure = undefined;
            this.#do({ act });
          }}>${say(act === 'leave' ? 'group.leave' : 'group.delete')}</button>
          <button class="button" @click=${() => {
            this.sure = undefined;
          }}>${say('act.cancel')}</button>
        </div>`;
    }
    return html`<button class="act danger" @click=${() => {
      this.sure = 'leave';
    }}>${icons.leave()} ${say('group.leave')}</button>
      ${
        group.me.role === 'owner'
          ? html`<button class="act danger" @click=${() => {
              this.sure = 'delete';
            }}>${icons.bin()} ${say('group.delete')}</button>`
          : nothing
      }`;
  }

  #members(group: GroupView) {
    return html`<div class="rows">
      <h3>${say('group.members', { count: group.count })}</h3>
      <ul role="list">
        ${repeat(
          group.members,
          (member) => member.user,
          (member) => html`<li class="member" data-user=${member.user}>
            <tidings-avatar .user=${member.user} .name=${member.name} ?online=${member.presence?.state === 'online'}></tidings-avatar>
            <button class="open" @click=${() => this.tell('open-profile', { user: member.user })}>
              <span class="clip" dir="auto">${member.name}${member.user === group.me.user ? ` (${say('group.you')})` : ''}</span><small class="clip">${presenceText(member.presence)}</small>
            </button>
            ${member.role === 'member' ? nothing : html`<span class="role">${say(`group.${member.role}`)}</span>`}
            ${this.#mayAct(group, member) ? html`<button class="icon-button" aria-haspopup="menu" aria-label=${say('group.actions', { name: member.name })} @click=${(event: Event) => this.#menu(event, member)}>${icons.more(18)}</button>` : nothing}
          </li>`,
        )}
      </ul>
      ${this.hasMore ? html`<button class="act" @click=${() => this.#do({ act: 'more-members' })}>${icons.down()} ${say('group.more')}</button>` : nothing}
    </div>`;
  }

  #mayAct(group: GroupView, member: MemberView): boolean {
    const rank = { member: 0, admin: 1, owner: 2 };
    if (member.user === group.me.user) return false;
    return (
      group.me.role === 'owner' || ((group.may.manage || group.may.remove) && rank[member.role] < rank[group.me.role])
    );
  }

  #actions(group: GroupView, member: MemberView) {
    const owner = group.me.role === 'owner';
    const item = (action: GroupAction, icon: keyof typeof icons, words: string, danger = false) =>
      html`<button class="item ${danger ? 'danger' : ''}" role="menuitem" @click=${() => this.#close(action)}>${icons[icon](19)} ${words}</button>`;
    return html`
      ${owner && member.role === 'member' ? item({ act: 'role', user: member.user, role: 'admin' }, 'star', say('group.makeAdmin')) : nothing}
      ${owner && member.role === 'admin' ? item({ act: 'role', user: member.user, role: 'member' }, 'person', say('group.makeMember')) : nothing}
      ${owner && member.role !== 'owner' ? item({ act: 'role', user: member.user, role: 'owner' }, 'star', say('group.makeOwner')) : nothing}
      ${group.may.remove ? item({ act: 'remove', user: member.user }, 'bin', say('group.remove'), true) : nothing}
    `;
  }
}

define('tidings-group-panel', TidingsGroupPanel);
