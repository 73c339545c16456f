import { html, nothing } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { repeat } from 'lit/directives/repeat.js';
import { hues } from '../avatar.js';
import { define } from '../define.js';
import { type Changed, TidingsElement } from '../element.js';
import { icons } from '../icons.js';
import { currentLanguage, dayName, say } from '../locale/locale.js';
import type { MessageView, Names } from '../model.js';
import { controls, scrollbars, tokens } from '../theme.js';
import { type Anchor, anchorAt, scrollTopOf } from './anchor.js';
import { type BubbleContext, bubble, spoken } from './bubble.js';
import { bubbleStyles, fileStyles } from './bubble-styles.js';
import { eventText } from './event-text.js';
import { Heights } from './heights.js';
import './message-menu.js';
import type { TidingsMessageMenu } from './message-menu.js';
import { type Row, rowsOf } from './rows.js';
import { viewStyles } from './view-styles.js';

/** Rows are kept ready so far beyond both edges, in pixels. */
const AHEAD = 700;
/** Nearer than this to the end is at the end. */
const AT_END = 60;
/** Nearer than this to an edge, more is asked for. */
const WANT_MORE = 1200;
const PADDING_END = 10;
const NO_MESSAGES: readonly MessageView[] = [];

/** The messages of one conversation: only what is near the visible part is in the page, however many there are. */
export class TidingsMessageView extends TidingsElement {
  static override properties = {
    messages: { attribute: false },
    quotes: { attribute: false },
    names: { attribute: false },
    conversation: {},
    label: {},
    me: {},
    group: { type: Boolean },
    mayManage: { type: Boolean, attribute: 'may-manage' },
    readOnly: { type: Boolean, attribute: 'read-only' },
    mayForward: { type: Boolean, attribute: 'may-forward' },
    hasOlder: { type: Boolean, attribute: 'has-older' },
    hasNewer: { type: Boolean, attribute: 'has-newer' },
    loading: { type: Boolean },
    firstUnread: { attribute: 'first-unread' },
    from: { state: true },
    to: { state: true },
    atEnd: { state: true },
    fresh: { state: true },
    floating: { state: true },
    notice: { state: true },
  };
  declare messages: readonly MessageView[];
  /** Messages by id that are quoted and not among `messages`. */
  declare quotes: ReadonlyMap<string, MessageView> | undefined;
  declare names: Names;
  declare conversation: string;
  declare label: string;
  declare me: string;
  declare group: boolean;
  declare mayManage: boolean;
  declare readOnly: boolean;
  declare mayForward: boolean;
  declare hasOlder: boolean;
  declare hasNewer: boolean;
  declare loading: boolean;
  declare firstUnread: string | undefined;
  declare private from: number;
  declare private to: number;
  declare private atEnd: boolean;
  declare private fresh: number;
  declare private floating: string;
  declare private notice: string;

  #rows: readonly Row[] = [];
  #byId = new Map<string, MessageView>();
  readonly #heights = new Heights();
  #anchor: Anchor = { kind: 'bottom' };
  #viewport = 0;
  #width = 0;
  #active: string | undefined;
  #found: string | undefined;
  #wanted: string | undefined;
  #askedOlder: unknown;
  #askedNewer: unknown;
  #floatTimer: ReturnType<typeof setTimeout> | undefined;
  #readUpTo: string | undefined;
  #lastKey: string | undefined;
  #asked = new Set<string>();
  readonly #sizes = new ResizeObserver(() => this.#resized());
  readonly #visible = () => this.#tellRead();
  readonly #context: BubbleContext;

  constructor() {
    super();
    this.messages = NO_MESSAGES;
    this.names = (user) => user;
    this.conversation = '';
    this.label = '';
    this.me = '';
    this.group = false;
    this.mayManage = false;
    this.readOnly = false;
    this.mayForward = false;
    this.hasOlder = false;
    this.hasNewer = false;
    this.loading = false;
    this.from = 0;
    this.to = 0;
    this.atEnd = true;
    this.fresh = 0;
    this.floating = '';
    this.notice = '';
    const view = this;
    this.#context = {
      get me() {
        return view.me;
      },
      get names() {
        return view.names;
      },
      get group() {
        return view.group;
      },
      quoted: (id) => this.#byId.get(id) ?? this.quotes?.get(id),
      react: (message, emoji, off) => this.tell('react', { message, emoji, off }),
      openMenu: (message, at) => this.#openMenu(message, at.getBoundingClientRect(), at),
      openFile: (message, file) => this.tell('open-file', { message, file }),
      fileFailed: (message, file) => this.tell('show-file', { message, file }),
      openQuoted: (id) => this.#goTo(id),
      openProfile: (user) => this.tell('open-profile', { user }),
      retry: (message) => this.tell('retry', { message }),
    };
  }

  static override styles = [tokens, controls, scrollbars, hues, bubbleStyles, fileStyles, viewStyles];

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('visibilitychange', this.#visible);
    window.addEventListener('focus', this.#visible);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#sizes.disconnect();
    document.removeEventListener('visibilitychange', this.#visible);
    window.removeEventListener('focus', this.#visible);
    clearTimeout(this.#floatTimer);
  }

  /** Shows a message in the middle and marks it for a moment. False when it is not among `messages`. */
  scrollToMessage(key: string): boolean {
    const index = this.#heights.indexOf(key);
    if (index === undefined) {
      this.#wanted = key;
      return false;
    }
    this.#wanted = undefined;
    this.#found = key;
    this.#anchor = { kind: 'row', key, offset: Math.max(40, (this.#viewport - this.#heights.heightOf(index)) / 2.5) };
    this.#settle();
    this.requestUpdate();
    return true;
  }

  /** Shows the newest message; asks for it where it was not loaded. */
  scrollToNewest(): void {
    if (this.hasNewer) this.tell('load-newest');
    this.#anchor = { kind: 'bottom' };
    this.fresh = 0;
    this.#settle();
    this.requestUpdate();
  }

  protected override willUpdate(changed: Changed): void {
    if (changed.has('conversation')) this.#begin();
    if (changed.has('messages') || changed.has('firstUnread') || changed.has('conversation')) this.#take(changed);
    if (!changed.has('loading') || !this.loading) {
      if (changed.has('messages') || changed.has('hasOlder')) this.#askedOlder = undefined;
      if (changed.has('messages') || changed.has('hasNewer')) this.#askedNewer = undefined;
    }
    this.#choose();
  }

  #begin(): void {
    this.#heights.clear();
    this.#anchor = { kind: 'bottom' };
    this.#active = undefined;
    this.#found = undefined;
    this.#wanted = undefined;
    this.#readUpTo = undefined;
    this.#lastKey = undefined;
    this.#asked.clear();
    this.fresh = 0;
    this.floating = '';
    this.notice = '';
  }

  #take(changed: Changed): void {
    const unreadMoved = changed.has('firstUnread') && this.firstUnread !== undefined && this.#rows.length === 0;
    this.#rows = rowsOf(this.messages, this.firstUnread);
    this.#byId = new Map(this.messages.map((message) => [message.id, message]));
    this.#heights.setRows(this.#rows, this.#width);
    const last = this.messages.at(-1);
    if (last && last.key !== this.#lastKey && this.#lastKey !== undefined && !this.hasNewer) {
      const known = this.messages.findIndex((message) => message.key === this.#lastKey);
      const added = known < 0 ? [] : this.messages.slice(known + 1).filter((message) => !message.event);
      const theirs = added.filter((message) => !message.mine);
      if (added.some((message) => message.mine)) this.#anchor = { kind: 'bottom' };
      else if (this.#anchor.kind !== 'bottom') this.fresh += theirs.length;
      const newest = theirs.at(-1);
      if (newest) this.notice = spoken(newest, this.#context);
    }
    this.#lastKey = last?.key;
    if (unreadMoved && this.#heights.indexOf('unread') !== undefined)
      this.#anchor = { kind: 'row', key: 'unread', offset: 40 };
    if (this.#wanted !== undefined && this.#heights.indexOf(this.#wanted) !== undefined)
      this.scrollToMessage(this.#wanted);
  }

  /** The rows to have in the page, around where the anchor puts the visible part. */
  #choose(): void {
    const top =
      scrollTopOf(this.#anchor, this.#heights, this.#viewport, PADDING_END) ?? this.find('.scroller')?.scrollTop ?? 0;
    const [from, to] = this.#heights.range(top - AHEAD, (this.#viewport || 900) + 2 * AHEAD);
    this.from = from;
    this.to = to;
  }

  protected override firstUpdated(): void {
    // The observer tells it too, but only after this frame.
    this.#resized();
    this.#sizes.observe(this);
    const drawn = this.find('.window');
    if (drawn) this.#sizes.observe(drawn);
  }

  protected override updated(): void {
    this.#measure();
    this.#settle();
    this.#wantMore();
    this.#wantFiles();
    this.#tellRead();
    if (this.#found) this.#flash();
  }

  #resized(): void {
    const { clientHeight, clientWidth } = this;
    if (clientWidth !== this.#width) {
      this.#width = clientWidth;
      this.#heights.setRows(this.#rows, clientWidth);
    }
    const grew = clientHeight !== this.#viewport;
    this.#viewport = clientHeight;
    if (this.#measure() || grew) {
      this.#settle();
      this.requestUpdate();
    }
  }

  /** Takes the heights of the rows in the page; true when something moved. */
  #measure(): boolean {
    const sizes: [string, number][] = [];
    for (const row of this.renderRoot.querySelectorAll<HTMLElement>('[data-key]')) {
      sizes.push([row.dataset.key ?? '', row.getBoundingClientRect().height]);
    }
    if (!this.#heights.measure(sizes)) return false;
    this.requestUpdate();
    return true;
  }

  /** Puts the canvas, the window and the scroll position to where heights and anchor say. */
  #settle(): void {
    const scroller = this.find<HTMLElement>('.scroller');
    const canvas = this.find<HTMLElement>('.canvas');
    const drawn = this.find<HTMLElement>('.window');
    if (!scroller || !canvas || !drawn) return;
    const short = Math.max(0, this.#viewport - this.#heights.total - PADDING_END);
    canvas.style.setProperty('height', `${this.#heights.total + PADDING_END + short}px`);
    drawn.style.setProperty('transform', `translateY(${this.#heights.topOf(this.from) + short}px)`);
    const top = scrollTopOf(this.#anchor, this.#heights, this.#viewport, PADDING_END);
    if (top !== undefined && Math.abs(scroller.scrollTop - top) >= 1) scroller.scrollTop = top;
    this.atEnd = this.#anchor.kind === 'bottom' && !this.hasNewer;
  }

  #scrolled(): void {
    const scroller = this.find<HTMLElement>('.scroller');
    if (!scroller || this.#viewport !== scroller.clientHeight) return;
    const top = scroller.scrollTop;
    const settled = scrollTopOf(this.#anchor, this.#heights, this.#viewport, PADDING_END);
    // Our own doing: the anchor says it already, more exactly than whole pixels do.
    if (settled !== undefined && Math.abs(settled - top) < 1.5) return;
    const end = this.#heights.total + PADDING_END - this.#viewport;
    this.#anchor =
      end - top < AT_END && !this.hasNewer
        ? { kind: 'bottom' }
        : anchorAt(this.#heights, (index) => this.#rows[index]?.key, top);
    if (this.#anchor.kind === 'bottom') this.fresh = 0;
    this.atEnd = this.#anchor.kind === 'bottom' && !this.hasNewer;
    const [from, to] = this.#heights.range(top - AHEAD / 2, this.#viewport + AHEAD);
    if (from < this.from || to > this.to) this.requestUpdate();
    else {
      this.#wantMore();
      this.#tellRead();
    }
    this.#showDay(top);
  }

  #showDay(top: number): void {
    const row = this.#rows[this.#heights.at(top)];
    const at = row && ('message' in row ? row.message.at : row.kind === 'day' ? row.at : undefined);
    if (at !== undefined) this.floating = dayName(at);
    this.find('.floating')?.classList.add('seen');
    clearTimeout(this.#floatTimer);
    this.#floatTimer = setTimeout(() => this.find('.floating')?.classList.remove('seen'), 1200);
  }

  #wantMore(): void {
    const scroller = this.find<HTMLElement>('.scroller');
    if (!scroller || this.#viewport === 0 || this.loading || this.messages.length === 0) return;
    if (this.hasOlder && scroller.scrollTop < WANT_MORE && this.#askedOlder !== this.messages) {
      this.#askedOlder = this.messages;
      this.tell('load-older');
    }
    const below = this.#heights.total - scroller.scrollTop - this.#viewport;
    if (this.hasNewer && below < WANT_MORE && this.#askedNewer !== this.messages) {
      this.#askedNewer = this.messages;
      this.tell('load-newer');
    }
  }

  /** Pictures that are near and have no address yet are asked for, once. */
  #wantFiles(): void {
    for (const row of this.#rows.slice(this.from, this.to)) {
      if (row.kind !== 'message' || row.message.gone) continue;
      for (const file of row.message.files) {
        if (
          !file.mediaType.startsWith('image/') ||
          file.address ||
          file.progress !== undefined ||
          this.#asked.has(file.id)
        )
          continue;
        this.#asked.add(file.id);
        this.tell('show-file', { message: row.message, file });
      }
    }
  }

  /** Whoever looks at the newest message that came has read it. */
  #tellRead(): void {
    if (document.visibilityState !== 'visible' || !document.hasFocus() || this.#viewport === 0) return;
    const scroller = this.find<HTMLElement>('.scroller');
    if (!scroller) return;
    const bottom = scroller.scrollTop + this.#viewport + 4;
    for (let index = Math.min(this.to, this.#rows.length) - 1; index >= this.from; index -= 1) {
      const row = this.#rows[index];
      if (!row || row.kind === 'day' || row.kind === 'unread' || row.message.mine) continue;
      if (this.#heights.topOf(index) + Math.min(40, this.#heights.heightOf(index)) > bottom) continue;
      if (row.key !== this.#readUpTo) {
        this.#readUpTo = row.key;
        this.tell('read', { message: row.message });
      }
      return;
    }
  }

  #flash(): void {
    const key = this.#found;
    if (key === undefined) return;
    const row = this.#rowElement(key);
    if (!row) return;
    this.#found = undefined;
    row.classList.remove('found');
    void row.offsetHeight;
    row.classList.add('found');
    row.addEventListener('animationend', () => row.classList.remove('found'), { once: true });
  }

  #rowElement(key: string): HTMLElement | null {
    return this.find(`[data-key="${CSS.escape(key)}"]`);
  }

  #goTo(id: string): void {
    const message = this.#byId.get(id);
    if (message) this.scrollToMessage(message.key);
    else {
      this.#wanted = id;
      this.tell('find-message', { id });
    }
  }

  #openMenu(message: MessageView, near: DOMRect, from?: HTMLElement): void {
    if (message.gone || message.status === 'sending' || message.status === 'failed') return;
    from?.setAttribute('aria-expanded', 'true');
    void this.find<TidingsMessageMenu>('tidings-message-menu')?.open(message, near, from);
  }

  #contextMenu(event: MouseEvent): void {
    const row = (event.target as Element).closest<HTMLElement>('[data-key]');
    const message = this.messages.find((candidate) => candidate.key === row?.dataset.key);
    if (!message || message.event || (event.target as Element).closest('a')) return;
    event.preventDefault();
    this.#openMenu(message, new DOMRect(event.clientX, event.clientY, 0, 0), row ?? undefined);
  }

  #keys(event: KeyboardEvent): void {
    const messages = this.#rows.filter((row) => row.kind === 'message');
    const at = messages.findIndex((row) => row.key === this.#active);
    const onRow = (event.target as Element).matches('[data-key], .scroller');
    if (!onRow) return;
    let next: number | undefined;
    if (event.key === 'ArrowUp') next = at < 0 ? messages.length - 1 : Math.max(0, at - 1);
    else if (event.key === 'ArrowDown') next = at < 0 ? messages.length - 1 : Math.min(messages.length - 1, at + 1);
    else if (event.key === 'Home') next = 0;
    else if (event.key === 'End') {
      event.preventDefault();
      this.#active = messages.at(-1)?.key;
      this.scrollToNewest();
      return;
    } else if ((event.key === 'Enter' || event.key === ' ' || event.key === 'ContextMenu') && at >= 0) {
      event.preventDefault();
      const row = this.#rowElement(messages[at]!.key);
      const near = row?.querySelector('.bubble')?.getBoundingClientRect();
      if (row && near) this.#openMenu((messages[at] as Extract<Row, { kind: 'message' }>).message, near, row);
      return;
    }
    if (next === undefined) return;
    event.preventDefault();
    void this.#activate(messages[next]?.key);
  }

  async #activate(key: string | undefined): Promise<void> {
    const index = key === undefined ? undefined : this.#heights.indexOf(key);
    if (key === undefined || index === undefined) return;
    this.#active = key;
    const scroller = this.find<HTMLElement>('.scroller')!;
    const top = this.#heights.topOf(index);
    if (top < scroller.scrollTop || top + this.#heights.heightOf(index) > scroller.scrollTop + this.#viewport) {
      const below = top > scroller.scrollTop;
      this.#anchor = {
        kind: 'row',
        key,
        offset: below ? Math.max(0, this.#viewport - this.#heights.heightOf(index) - 20) : 20,
      };
    }
    this.requestUpdate();
    await this.updateComplete;
    this.#rowElement(key)?.focus({ preventScroll: true });
  }

  protected override render() {
    const rows = this.#rows.slice(this.from, this.to);
    return html`
      <div class="scroller scrolls" part="scroller" tabindex="0" role="region" aria-label=${say('view.label', { name: this.label })} aria-busy=${this.loading} @scroll=${this.#scrolled} @keydown=${this.#keys} @contextmenu=${this.#contextMenu}>
        <div class="canvas">
          <div class="window" lang=${currentLanguage()}>
            <div class="inner" role="list">${repeat(
              rows,
              (row) => row.key,
              (row) => guard(this.#shows(row), () => this.#row(row)),
            )}</div>
          </div>
        </div>
      </div>
      ${this.messages.length === 0 && !this.loading ? html`<div class="empty"><slot name="empty"><span class="pill">${say('view.empty')}</span></slot></div>` : nothing}
      ${this.loading && this.messages.length === 0 ? html`<div class="loading" role="status"><span class="spinner"></span><span class="unseen">${say('view.loading')}</span></div>` : nothing}
      <div class="floating" aria-hidden="true">${this.floating ? html`<span class="pill">${this.floating}</span>` : nothing}</div>
      <button class="newest" part="newest" ?hidden=${this.atEnd || this.messages.length === 0} aria-label=${this.fresh > 0 ? say('view.newCount', { count: this.fresh }) : say('view.newest')} title=${say('view.newest')} @click=${this.scrollToNewest}>
        ${icons.down(22)}${this.fresh > 0 ? html`<span class="count">${this.fresh > 99 ? '99+' : this.fresh}</span>` : nothing}
      </button>
      <div class="unseen" role="status" aria-live="polite">${this.notice}</div>
      <tidings-message-menu .me=${this.me} .group=${this.group} .mayManage=${this.mayManage} .mayWrite=${!this.readOnly} .mayForward=${this.mayForward} @tidings-message-action=${this.#acted}></tidings-message-menu>
    `;
  }

  #acted(event: CustomEvent<{ action: string; message: MessageView }>): void {
    if (event.detail.action !== 'copy') return;
    event.stopPropagation();
    void navigator.clipboard?.writeText(event.detail.message.text).catch(() => undefined);
  }

  /** What a row's picture depends on: while scrolling, rows that stay are not made again. */
  #shows(row: Row): unknown[] {
    if (row.kind === 'day' || row.kind === 'unread') return [row.key, currentLanguage(), dayName(Date.now())];
    const { message } = row;
    const quoted = message.replyTo && this.#context.quoted(message.replyTo);
    const place = row.kind === 'message' ? `${row.first} ${row.last}` : '';
    return [message, place, quoted, this.me, this.group, this.names, currentLanguage()];
  }

  #row(row: Row) {
    if (row.kind === 'day')
      return html`<div class="day" data-key=${row.key} role="listitem"><span class="pill" part="day">${dayName(row.at)}</span></div>`;
    if (row.kind === 'unread')
      return html`<div class="new" data-key=${row.key} role="listitem"><span class="pill" part="unread">${say('view.unread')}</span></div>`;
    if (row.kind === 'event') {
      const event = row.message.event;
      return html`<div class="event" data-key=${row.key} role="listitem"><span class="pill" part="event">${event ? eventText(event, this.me, this.names) : nothing}</span></div>`;
    }
    const { message } = row;
    const classes = `row ${message.mine ? 'mine' : ''} ${row.first ? 'first' : ''} ${row.last ? 'last' : ''}`;
    return html`<div class=${classes} data-key=${row.key} data-id=${message.id} data-status=${message.status ?? nothing} role="listitem" tabindex="-1" aria-label=${spoken(message, this.#context)} part="message">${bubble(row, this.#context)}</div>`;
  }
}

define('tidings-message-view', TidingsMessageView);
