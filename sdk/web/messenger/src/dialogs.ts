import {
  type ConversationView,
  controls,
  currentLanguage,
  errorText,
  icons,
  type MessageView,
  type Names,
  type ReceiptsView,
  type Store,
  say,
  TidingsElement,
  tokens,
} from '@tidings/ui';
import { html, nothing } from 'lit';
import { dialogStyles } from './dialog-styles.js';
import { chooseLanguage, notifies, setNotifies, setTheme, type Theme, theme } from './preferences.js';
import type { Session } from './session.js';
import { words } from './strings.js';

export type DialogName = 'chat' | 'group' | 'settings' | 'receipts' | 'forward' | 'poll';

/** What a dialog is about. */
interface About {
  readonly receipts?: ReceiptsView;
  /** To forward. */
  readonly message?: MessageView;
  /** Where a poll goes to. */
  readonly key?: string;
}

const LEAST_OPTIONS = 2;
/** A user has 16 reactions to a message, which votes are. */
const MOST_OPTIONS = 12;

/** The app's dialogs: begin a conversation, a group or a poll, forward, settings, who has read a message. */
export class Dialogs extends TidingsElement {
  static override properties = {
    store: { attribute: false },
    session: { attribute: false },
    conversations: { attribute: false },
    names: { attribute: false },
    shown: { state: true },
    problem: { state: true },
    about: { state: true },
    options: { state: true },
    working: { state: true },
  };
  declare store: Store | undefined;
  declare session: Session | undefined;
  declare conversations: readonly ConversationView[];
  declare names: Names;
  declare private shown: DialogName | undefined;
  declare private problem: string;
  declare private about: About;
  declare private options: number;
  declare private working: boolean;

  constructor() {
    super();
    this.conversations = [];
    this.names = (user) => user;
    this.problem = '';
    this.working = false;
    this.about = {};
    this.options = LEAST_OPTIONS;
  }

  static override styles = [tokens, controls, dialogStyles];

  async open(name: DialogName, about: About = {}): Promise<void> {
    this.shown = name;
    this.problem = '';
    this.about = about;
    this.options = LEAST_OPTIONS;
    await this.updateComplete;
    this.find<HTMLDialogElement>('dialog')?.showModal();
    this.find<HTMLElement>('.body input, .body button')?.focus();
  }

  close(): void {
    this.find<HTMLDialogElement>('dialog')?.close();
  }

  #go(key: string): void {
    this.close();
    this.tell('open', { key });
  }

  #chat(event: SubmitEvent): void {
    event.preventDefault();
    const name = String(new FormData(event.target as HTMLFormElement).get('user') ?? '')
      .trim()
      .replace(/^@/, '');
    // Ids of the demo are small letters; elsewhere the id is meant as it is typed.
    const known = this.conversations.find((conversation) => conversation.name.toLowerCase() === name.toLowerCase());
    if (known) this.#go(known.key);
    else if (name !== '') this.#go(`u/${name.toLowerCase().replace(/\s+/g, '-')}`);
  }

  async #work(does: () => Promise<string>): Promise<void> {
    this.working = true;
    this.problem = '';
    try {
      this.#go(await does());
    } catch (error) {
      this.problem = errorText(error);
    } finally {
      this.working = false;
    }
  }

  #group(event: SubmitEvent): void {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    const name = String(form.get('name') ?? '').trim();
    const typed = String(form.get('users') ?? '')
      .split(/[\s,;]+/)
      .map((user) => user.replace(/^@/, '').toLowerCase())
      .filter((user) => user !== '');
    const users = [...new Set([...typed, ...form.getAll('known').map(String)])].filter(
      (user) => user !== this.session?.user,
    );
    if (name !== '' && this.store) {
      const { groups } = this.store;
      void this.#work(() => groups.create(name, users, form.get('announcement') === 'on'));
    }
  }

  #join(event: SubmitEvent): void {
    event.preventDefault();
    const code = String(new FormData(event.target as HTMLFormElement).get('code') ?? '').trim();
    if (code !== '' && this.store) {
      const { groups } = this.store;
      void this.#work(() => groups.join(code));
    }
  }

  protected override render() {
    const titles = {
      chat: words('newChat'),
      group: words('newGroup'),
      settings: words('settings'),
      receipts: say('act.info'),
      forward: words('forwardTo'),
      poll: say('composer.poll'),
    };
    return html`<dialog aria-labelledby="title" @close=${() => {
      this.shown = undefined;
    }} @click=${(event: Event) => {
      if (event.target instanceof HTMLDialogElement) this.close();
    }}>
      ${
        this.shown
          ? html`<div class="head"><h2 id="title">${titles[this.shown]}</h2><button class="icon-button" aria-label=${say('act.close')} @click=${this.close}>${icons.close()}</button></div>
              <div class="body">${this.#body(this.shown)}</div>`
          : nothing
      }
    </dialog>`;
  }

  #body(name: DialogName) {
    switch (name) {
      case 'chat':
        return this.#chatBody();
      case 'group':
        return this.#groupBody();
      case 'settings':
        return this.#settingsBody();
      case 'receipts':
        return this.#receiptsBody();
      case 'forward':
        return this.#forwardBody();
      case 'poll':
        return this.#pollBody();
    }
  }

  #people(): ConversationView[] {
    return this.conversations.filter((conversation) => 'user' in conversation.peer);
  }

  #chatBody() {
    const people = this.#people();
    return html`<form @submit=${this.#chat}>
        <label for="user">${words('newChatHint')}</label>
        <div class="line"><input class="field" id="user" name="user" required maxlength="63" autocomplete="off" autocapitalize="off" spellcheck="false" /><button class="button primary">${words('start')}</button></div>
      </form>
      ${
        people.length === 0
          ? nothing
          : html`<label>${words('people')}</label>
              <ul class="list">${people.map((person) => html`<li><button @click=${() => this.#go(person.key)}><tidings-avatar .user=${person.key.slice(2)} .name=${person.name} ?online=${person.presence?.state === 'online'}></tidings-avatar><span class="clip">${person.name}</span></button></li>`)}</ul>`
      }
      <hr class="rule" />
      <ul class="list"><li><button @click=${() => this.open('group')}>${icons.people(24)}<span>${words('newGroup')}</span></button></li></ul>`;
  }

  #groupBody() {
    return html`<form @submit=${this.#group}>
        <label for="group-name">${words('groupName')}</label>
        <input class="field" id="group-name" name="name" required maxlength="60" autocomplete="off" />
        <label for="users">${words('groupPeople')}</label>
        <input class="field" id="users" name="users" autocomplete="off" autocapitalize="off" spellcheck="false" />
        ${this.#people()
          .slice(0, 30)
          .map(
            (person) =>
              html`<label class="check"><input type="checkbox" name="known" value=${person.key.slice(2)} /><span>${person.name}</span></label>`,
          )}
        <label class="check"><input type="checkbox" name="announcement" /> ${words('onlyAdmins')}</label>
        <p class="problem" role="alert">${this.problem}</p>
        <div class="end"><button class="button primary" ?disabled=${this.working}>${words('create')}</button></div>
      </form>
      <hr class="rule" />
      <form @submit=${this.#join}>
        <label for="code">${words('joinCode')}</label>
        <div class="line"><input class="field" id="code" name="code" required maxlength="64" autocomplete="off" autocapitalize="off" spellcheck="false" /><button class="button">${words('join')}</button></div>
      </form>`;
  }

  #settingsBody() {
    const session = this.session;
    const german = currentLanguage().startsWith('de');
    return html`
      <div class="who"><tidings-avatar .user=${session?.user ?? ''} .name=${session?.name ?? ''}></tidings-avatar><div><b>${session?.name}</b><small>@${session?.user}</small></div></div>
      <label for="theme">${words('theme')}</label>
      <select class="field" id="theme" @change=${(event: Event) => setTheme((event.target as HTMLSelectElement).value as Theme)}>
        ${(['auto', 'light', 'dark'] as const).map((choice) => html`<option value=${choice} ?selected=${theme() === choice}>${words(choice === 'auto' ? 'themeAuto' : choice === 'light' ? 'themeLight' : 'themeDark')}</option>`)}
      </select>
      <label for="language">${words('language')}</label>
      <select class="field" id="language" @change=${(event: Event) => chooseLanguage((event.target as HTMLSelectElement).value)}>
        <option value="en" ?selected=${!german}>English</option>
        <option value="de" ?selected=${german}>Deutsch</option>
      </select>
      <label class="check"><input type="checkbox" .checked=${notifies()} @change=${this.#notify} /> ${words('notify')}</label>
      <div class="end">
        <a class="button" href="/" target="_blank" rel="noopener">${words('secondTab')}</a>
        <button class="button danger" @click=${() => {
          this.close();
          this.tell('sign-out');
        }}>${words('signOut')}</button>
      </div>`;
  }

  async #notify(event: Event): Promise<void> {
    const box = event.target as HTMLInputElement;
    box.checked = await setNotifies(box.checked);
  }

  #forward(key: string): void {
    const { message } = this.about;
    const { store } = this;
    if (message && store)
      void this.#work(async () => {
        await store.sending.forward(key, message);
        return key;
      });
  }

  #forwardBody() {
    const groups = this.store?.state.groups;
    const writable = this.conversations
      .filter(({ peer, blocked }) => !blocked && (!('group' in peer) || groups?.get(peer.group)?.may.send !== false))
      .sort((a, b) => b.lastAt - a.lastAt);
    return html`<p class="problem" role="alert">${this.problem}</p>
      <ul class="list">${writable.map(
        ({
          key,
          name,
          peer,
          presence,
        }) => html`<li><button ?disabled=${this.working} @click=${() => this.#forward(key)}>
          <tidings-avatar .user=${key.slice(2)} .name=${name} ?group=${'group' in peer} ?online=${presence?.state === 'online'}></tidings-avatar><span class="clip">${name}</span>
        </button></li>`,
      )}</ul>`;
  }

  #poll(event: SubmitEvent): void {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    const question = String(form.get('question') ?? '').trim();
    const options = [...new Set(form.getAll('option').map((option) => String(option).trim()))].filter(Boolean);
    const { key } = this.about;
    const { store } = this;
    if (options.length < LEAST_OPTIONS) this.problem = words('pollTooFew');
    else if (question !== '' && key && store)
      void this.#work(async () => {
        await store.sending.poll(key, question, options, form.get('several') === 'on' ? options.length : 1);
        return key;
      });
  }

  #pollBody() {
    const fields = Array.from({ length: this.options }, (_, index) => words('pollOption', { number: index + 1 }));
    // The next field is there when the last one is used.
    const more = (index: number) => {
      if (index === this.options - 1 && this.options < MOST_OPTIONS) this.options += 1;
    };
    return html`<form @submit=${this.#poll}>
      <label for="question">${words('pollQuestion')}</label>
      <input class="field" id="question" name="question" required maxlength="300" autocomplete="off" dir="auto" />
      <label>${words('pollOptions')}</label>
      ${fields.map(
        (label, index) =>
          html`<p class="option"><input class="field" name="option" aria-label=${label} placeholder=${label} maxlength="100" autocomplete="off" dir="auto" @input=${() => more(index)} /></p>`,
      )}
      <label class="check"><input type="checkbox" name="several" /> ${words('pollSeveral')}</label>
      <p class="problem" role="alert">${this.problem}</p>
      <div class="end"><button class="button primary" ?disabled=${this.working}>${words('pollAsk')}</button></div>
    </form>`;
  }

  #receiptsBody() {
    const { receipts } = this.about;
    if (!receipts) return nothing;
    const only = receipts.delivered.filter((user) => !receipts.read.includes(user));
    const list = (title: string, users: readonly string[]) =>
      users.length === 0
        ? nothing
        : html`<label>${title}</label><ul class="list">${users.map((user) => html`<li><button @click=${() => this.#go(`u/${user}`)}><tidings-avatar .user=${user} .name=${this.names(user)}></tidings-avatar><span>${this.names(user)}</span></button></li>`)}</ul>`;
    return html`<p>${say('info.counts', { read: receipts.readCount, members: receipts.members, delivered: receipts.deliveredCount })}</p>
      ${list(say('info.read'), receipts.read)}${list(say('info.delivered'), only)}`;
  }
}

customElements.define('messenger-dialogs', Dialogs);
