import { css, html, nothing } from 'lit';
import { define } from '../define.js';
import { TidingsElement } from '../element.js';
import { icons } from '../icons.js';
import { say } from '../locale/locale.js';
import { controls, tokens } from '../theme.js';

export type ConnectionView = 'idle' | 'connecting' | 'connected' | 'waiting' | 'stopped';

/** Nothing while all is well; else how the connection stands, in one line. */
export class TidingsStatus extends TidingsElement {
  static override properties = {
    state: { reflect: true },
    reason: {},
    retryAt: { type: Number, attribute: 'retry-at' },
    catchingUp: { type: Boolean, attribute: 'catching-up' },
    now: { state: true },
  };
  declare state: ConnectionView;
  /** Why it stopped, for people. */
  declare reason: string;
  /** Unix milliseconds; 0: not known. */
  declare retryAt: number;
  declare catchingUp: boolean;
  declare private now: number;
  #clock: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this.state = 'idle';
    this.reason = '';
    this.retryAt = 0;
    this.catchingUp = false;
    this.now = Date.now();
  }

  static override styles = [
    tokens,
    controls,
    css`
      :host {
        display: block;
      }
      .line {
        display: flex;
        align-items: center;
        gap: 10px;
        padding: 8px 14px;
        font-size: 0.84375rem;
        color: var(--_muted);
        background: var(--_field);
      }
      .line.bad {
        color: var(--_danger);
        background: color-mix(in srgb, var(--_danger) 10%, var(--_surface));
      }
      .line {
        --_spinner: 16px;
      }
      .line span:not(.spinner) {
        flex: 1;
      }
      .line svg {
        flex: none;
      }
      .button {
        min-block-size: 30px;
        padding: 0 12px;
        font-size: 0.8125rem;
      }
    `,
  ];

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stopClock();
  }

  #stopClock(): void {
    clearInterval(this.#clock);
    this.#clock = undefined;
  }

  protected override updated(): void {
    const counts = this.state === 'waiting' && this.retryAt > 0;
    if (!counts) this.#stopClock();
    else
      this.#clock ??= setInterval(() => {
        this.now = Date.now();
      }, 1000);
  }

  protected override render() {
    return html`<div role="status" aria-live="polite">${this.#line()}</div>`;
  }

  #line() {
    if (this.state === 'stopped')
      return html`<div class="line bad" part="line">${icons.warning(18)}<span>${say('connection.ended', { reason: this.reason })}</span><button class="button danger" @click=${() => this.tell('sign-in-again')}>${say('act.signInAgain')}</button></div>`;
    if (this.state === 'waiting') {
      const seconds = Math.ceil((this.retryAt - this.now) / 1000);
      return html`<div class="line" part="line">${icons.offline(18)}<span>${say('connection.waiting')}${seconds > 1 ? html` <span aria-hidden="true">${say('connection.retryIn', { count: seconds })}</span>` : nothing}</span></div>`;
    }
    if (this.state === 'connecting')
      return html`<div class="line" part="line"><span class="spinner"></span><span>${say('connection.connecting')}</span></div>`;
    if (this.catchingUp)
      return html`<div class="line" part="line"><span class="spinner"></span><span>${say('connection.catchingUp')}</span></div>`;
    return nothing;
  }
}

define('tidings-status', TidingsStatus);
