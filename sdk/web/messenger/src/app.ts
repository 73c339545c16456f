import { Client, SignedOutError } from '@tidings/client';
import {
  type ConversationAction,
  type ConversationView,
  controls,
  conversationView,
  conversationViews,
  errorText,
  type FileView,
  type FoundView,
  type GroupAction,
  groupView,
  icons,
  type MessageView,
  type State,
  Store,
  say,
  TidingsElement,
  timelineOf,
  tokens,
  unreadTotal,
} from '@tidings/ui';
import { html, nothing } from 'lit';
import { appStyles } from './app-styles.js';
import type { ChatPane } from './chat-pane.js';
import './chat-pane.js';
import { type Config, loadConfig, websocketUrl } from './config.js';
import type { Dialogs } from './dialogs.js';
import './dialogs.js';
import type { Lightbox } from './lightbox.js';
import './lightbox.js';
import { nameOf } from './names.js';
import { Notices } from './notices.js';
import { hashOf, type Route, routeOf } from './route.js';
import { currentSession, demoSignIn, endSession, forget, keepSession, type Session } from './session.js';
import './sign-in.js';
import { words } from './strings.js';

const RETRY_CONFIG_MS = 3000;
const TOAST_MS = 5000;

/** The whole messenger: who is at this tab, the list, the open conversation, and what is known about it. */
export class MessengerApp extends TidingsElement {
  static override properties = {
    config: { state: true },
    session: { state: true },
    state: { state: true },
    route: { state: true },
    query: { state: true },
    problem: { state: true },
    toast: { state: true },
    groupProblem: { state: true },
    now: { state: true },
  };
  declare private config: Config | undefined;
  declare private session: Session | undefined;
  declare private state: State | undefined;
  declare private route: Route;
  declare private query: string;
  declare private problem: string;
  declare private toast: string;
  declare private groupProblem: string;
  #store: Store | undefined;
  #listed: { readonly of: readonly unknown[]; readonly views: readonly ConversationView[] } | undefined;
  #toastTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #notices = new Notices((key) => this.#go({ key, about: false }));
  readonly #routed = () => this.#follow();

  constructor() {
    super();
    this.session = currentSession();
    this.route = routeOf(location.hash);
    this.query = '';
    this.problem = '';
    this.toast = '';
    this.groupProblem = '';
  }

  static override styles = [tokens, controls, appStyles];

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('hashchange', this.#routed);
    void this.#begin();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('hashchange', this.#routed);
    this.#end();
  }

  async #begin(): Promise<void> {
    try {
      this.config = await loadConfig();
      this.problem = '';
    } catch {
      this.problem = words('loadFailed');
      setTimeout(() => void this.#begin(), RETRY_CONFIG_MS);
      return;
    }
    if (this.session) this.#start(this.session);
  }

  #start(session: Session): void {
    const config = this.config;
    if (!config) return;
    let { token } = session;
    const client = new Client({
      url: websocketUrl(config),
      account: session.user,
      agent: 'tidings-messenger',
      getToken: async ({ reason }) => {
        if (reason === 'first') return token;
        if (!config.demo) throw new SignedOutError();
        // The demo gives whoever asks a new one.
        const renewed = await demoSignIn(session.name);
        if (renewed.user !== session.user) throw new SignedOutError();
        keepSession(renewed);
        token = renewed.token;
        return token;
      },
    });
    const store = new Store(client, {
      me: session.user,
      names: (user) => (user === session.user ? session.name : nameOf(user)),
    });
    this.#store = store;
    store.subscribe((state) => {
      this.state = state;
      // What was found is not in the state.
      this.requestUpdate();
      this.#notices.told(state, store.names);
      const unread = unreadTotal(state, Date.now());
      document.title = unread > 0 ? `(${unread}) Tidings` : 'Tidings';
    });
    this.state = store.state;
    client.on('stateChanged', ({ user }) => {
      if (user !== undefined && user !== session.user && this.#store === store) this.#isReally(user, session);
    });
    store.start();
    this.#follow();
  }

  /** The token says who it is, whatever was typed. */
  #isReally(user: string, session: Session): void {
    this.#end();
    this.#signedIn(new CustomEvent('signed-in', { detail: { ...session, user, name: nameOf(user) } }));
  }

  #end(): void {
    const store = this.#store;
    this.#store = undefined;
    this.#listed = undefined;
    store?.stop();
    void store?.client.close();
    document.title = 'Tidings';
  }

  #signedIn(event: CustomEvent<Session>): void {
    this.session = event.detail;
    keepSession(event.detail);
    this.#start(event.detail);
  }

  #signOut(forgetToo: boolean): void {
    if (forgetToo && this.session) forget(this.session.user);
    this.problem = '';
    this.#end();
    endSession();
    this.session = undefined;
    this.state = undefined;
    this.query = '';
    location.hash = '#/';
  }

  #follow(): void {
    this.route = routeOf(location.hash);
    this.groupProblem = '';
    this.#store?.open(this.route.key);
  }

  #go(route: Route): void {
    const hash = hashOf(route);
    if (location.hash !== hash) location.hash = hash;
    else this.#follow();
  }

  /** Goes back where that leads to the list; a page that was opened by its address has nothing behind it. */
  #back(): void {
    this.#go({ key: undefined, about: false });
  }

  #failed(error: unknown): void {
    this.toast = words('failed', { reason: errorText(error) });
    clearTimeout(this.#toastTimer);
    this.#toastTimer = setTimeout(() => {
      this.toast = '';
    }, TOAST_MS);
  }

  #views(state: State, store: Store): readonly ConversationView[] {
    const of = [state.summaries, state.typing, state.presence, state.groups, state.drafts];
    if (!this.#listed || of.some((part, index) => part !== this.#listed?.of[index]))
      this.#listed = { of, views: conversationViews(state, store.names) };
    return this.#listed.views;
  }

  #act(event: CustomEvent<{ key: string; action: ConversationAction }>): void {
    this.#store?.act(event.detail.key, event.detail.action).catch((error: unknown) => this.#failed(error));
  }

  async #groupAct(event: CustomEvent<GroupAction & { group: string }>): Promise<void> {
    const { group, ...action } = event.detail;
    this.groupProblem = '';
    try {
      await this.#store?.groups.act(group, action as GroupAction);
      if (action.act === 'leave' || action.act === 'delete') this.#back();
    } catch (error) {
      this.groupProblem = errorText(error);
    }
  }

  async #openFile(event: CustomEvent<{ file: FileView }>): Promise<void> {
    const { file } = event.detail;
    const store = this.#store;
    if (!store || file.progress !== undefined) return;
    try {
      const address = await store.files.address(file);
      if (!address) return;
      if (file.mediaType.startsWith('image/')) await this.find<Lightbox>('messenger-lightbox')?.open(file, address);
      else download(address, file.name);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #openMessage(event: CustomEvent<{ key: string; message: MessageView }>): Promise<void> {
    const { key, message } = event.detail;
    const store = this.#store;
    if (!store) return;
    this.#go({ key, about: false });
    try {
      await store.showMessage(key, message);
      await this.updateComplete;
      const pane = this.find<ChatPane>('messenger-chat');
      await pane?.updateComplete;
      const shown = timelineOf(store.state, key).messages.find((other) => other.id === message.id);
      if (shown) pane?.view?.scrollToMessage(shown.key);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #receipts(event: CustomEvent<{ group: string; message: MessageView }>): Promise<void> {
    try {
      const receipts = await this.#store?.groups.receipts(event.detail.group, event.detail.message);
      if (receipts) await this.#dialogs?.open('receipts', { receipts });
    } catch (error) {
      this.#failed(error);
    }
  }

  get #dialogs(): Dialogs | null {
    return this.find('messenger-dialogs');
  }

  protected override render() {
    const { session, state } = this;
    const store = this.#store;
    if (!session || !state || !store)
      return html`<messenger-sign-in .config=${this.config} .problem=${this.problem} @tidings-signed-in=${this.#signedIn}></messenger-sign-in>`;
    const { key, about } = this.route;
    const conversations = this.#views(state, store);
    const searching = this.query.trim() !== '';
    return html`<div class="app ${key ? 'open' : ''} ${about ? 'about' : ''}" @tidings-conversation-action=${this.#act} @tidings-open=${(event: CustomEvent<{ key: string }>) => this.#go({ key: event.detail.key, about: false })} @tidings-open-file=${this.#openFile} @tidings-open-profile=${(
      event: CustomEvent<{ user: string }>,
    ) => {
      if (event.detail.user !== session.user) this.#go({ key: `u/${event.detail.user}`, about: false });
    }}>
        <aside class="side">${this.#side(session, state, store, conversations, searching)}</aside>
        <main class="chat">
          ${
            key
              ? html`<messenger-chat .store=${store} .state=${state} .key=${key} ?files=${this.config?.files ?? false} ?aboutOpen=${about}
                  @tidings-back=${this.#back} @tidings-about=${() => this.#go({ key, about: !about })} @tidings-receipts=${this.#receipts} @tidings-new-poll=${() => this.#dialogs?.open('poll', { key })} @tidings-forward=${(event: CustomEvent<{ message: MessageView }>) => this.#dialogs?.open('forward', event.detail)} @tidings-problem=${(event: CustomEvent<{ error: unknown }>) => this.#failed(event.detail.error)}></messenger-chat>`
              : html`<div class="nothing"><div><img src="/icon.svg" alt="" /><b>${words('pickOne')}</b><span>${words('pickHint')}</span></div></div>`
          }
        </main>
        ${key && about ? this.#about(state, store, key) : nothing}
      </div>
      <messenger-dialogs .store=${store} .session=${session} .conversations=${conversations} .names=${store.names} @tidings-open=${(event: CustomEvent<{ key: string }>) => this.#go({ key: event.detail.key, about: false })} @tidings-sign-out=${() => this.#signOut(false)}></messenger-dialogs>
      <messenger-lightbox></messenger-lightbox>
      <div role="status">${this.toast ? html`<p class="toast">${this.toast}</p>` : nothing}</div>`;
  }

  #side(session: Session, state: State, store: Store, conversations: readonly ConversationView[], searching: boolean) {
    const { connection } = state;
    const { results } = store.finder;
    const found = results.found.map(
      ({ conversation, message }): FoundView => ({
        conversation,
        message,
        name: conversationView(state, conversation, store.names).name,
      }),
    );
    return html`<div class="bar">
        <button class="me" aria-label="${words('settings')}: ${words('signedInAs', { name: session.name })}" title=${words('signedInAs', { name: session.name })} @click=${() => this.#dialogs?.open('settings')}><tidings-avatar .user=${session.user} .name=${session.name}></tidings-avatar></button>
        <h1>Tidings</h1>
        <button class="icon-button" aria-label=${words('newGroup')} title=${words('newGroup')} @click=${() => this.#dialogs?.open('group')}>${icons.people(22)}</button>
        <button class="icon-button" aria-label=${words('newChat')} title=${words('newChat')} @click=${() => this.#dialogs?.open('chat')}>${icons.compose(22)}</button>
      </div>
      <tidings-status .state=${connection.state} .reason=${connection.reason} .retryAt=${connection.retryAt} @tidings-sign-in-again=${() => this.#signOut(true)}></tidings-status>
      <tidings-search class=${searching ? 'full' : ''} .text=${this.query} .conversations=${conversations} .found=${found} .names=${store.names} .me=${session.user} ?has-more=${results.hasMore} .working=${results.working} .problem=${results.problem}
        @tidings-search-text=${(event: CustomEvent<{ text: string }>) => {
          this.query = event.detail.text;
        }}
        @tidings-search=${(event: CustomEvent<{ text: string }>) => store.finder.find(event.detail.text)} @tidings-search-more=${() => store.finder.more()} @tidings-open-message=${this.#openMessage}></tidings-search>
      ${searching ? nothing : html`<tidings-conversation-list .conversations=${conversations} .selected=${this.route.key} .names=${store.names} .me=${session.user} .loading=${!state.listed && connection.state !== 'stopped'}></tidings-conversation-list>`}`;
  }

  #about(state: State, store: Store, key: string) {
    const conversation = conversationView(state, key, store.names);
    const { messages } = timelineOf(state, key);
    const group = key.startsWith('g/') ? groupView(state, key.slice(2)) : undefined;
    return html`<aside class="about-pane" aria-label=${words('about')}>
      <div class="bar"><button class="icon-button" aria-label=${say('act.close')} @click=${() => this.#go({ key, about: false })}>${icons.close(22)}</button><h2>${words('about')}</h2></div>
      ${
        key.startsWith('g/')
          ? html`<tidings-group-panel .group=${group} .conversation=${conversation} .messages=${messages} .problem=${this.groupProblem} ?has-more=${store.groups.hasMoreMembers(key.slice(2))} @tidings-group-action=${this.#groupAct}></tidings-group-panel>`
          : html`<tidings-profile .conversation=${conversation} .messages=${messages}></tidings-profile>`
      }
    </aside>`;
  }
}

/** Files are answered as attachments: the browser keeps them and shows none of them as a page. */
function download(address: string, name: string): void {
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.rel = 'noopener';
  link.click();
}

customElements.define('messenger-app', MessengerApp);
