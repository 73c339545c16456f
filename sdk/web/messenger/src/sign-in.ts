import { controls, TidingsElement, tokens } from '@tidings/ui';
import { css, html, nothing } from 'lit';
import type { Config } from './config.js';
import { demoSignIn, forget, remembered, type Session } from './session.js';
import { words } from './strings.js';

/** Who is at this tab: a name where anybody may sign in, else a user and a token. */
export class SignIn extends TidingsElement {
  static override properties = { config: { attribute: false }, problem: {}, working: { state: true } };
  declare config: Config | undefined;
  declare problem: string;
  declare private working: boolean;

  constructor() {
    super();
    this.problem = '';
    this.working = false;
  }

  static override styles = [
    tokens,
    controls,
    css`
      :host {
        display: grid;
        place-items: center;
        min-block-size: 100dvh;
        max-block-size: 100dvh;
        overflow-y: auto;
        background: var(--_chat);
        background-image: radial-gradient(90% 60% at 15% 0%, color-mix(in srgb, var(--_accent) 22%, transparent), transparent 70%),
          radial-gradient(90% 70% at 100% 100%, color-mix(in srgb, var(--_link) 16%, transparent), transparent 70%);
      }
      main {
        inline-size: min(400px, 92vw);
        margin: 24px 0;
        padding: 36px 32px 28px;
        border-radius: 28px;
        background: var(--_surface);
        box-shadow: 0 20px 60px var(--_shadow);
      }
      .logo {
        display: block;
        inline-size: 76px;
        block-size: 76px;
        margin: 0 auto 14px;
      }
      h1 {
        margin: 0;
        text-align: center;
        font-size: 1.625rem;
        font-weight: 700;
        letter-spacing: -0.01em;
      }
      .tagline {
        margin: 4px 0 26px;
        text-align: center;
        color: var(--_muted);
      }
      label {
        display: block;
        font-size: 0.8125rem;
        font-weight: 600;
        margin: 12px 4px 6px;
      }
      .field {
        min-block-size: 48px;
        font-size: 1rem;
      }
      .button {
        inline-size: 100%;
        min-block-size: 48px;
        margin-block-start: 16px;
        font-size: 1rem;
      }
      .problem {
        margin: 10px 4px 0;
        color: var(--_danger);
        font-size: 0.875rem;
      }
      .hint {
        margin: 6px 4px 0;
        font-size: 0.8125rem;
        color: var(--_muted);
      }
      h2 {
        margin: 24px 4px 8px;
        font-size: 0.8125rem;
        font-weight: 600;
        color: var(--_muted);
      }
      ul {
        list-style: none;
        margin: 0;
        padding: 0;
        display: grid;
        gap: 2px;
        --tidings-avatar-size: 38px;
      }
      li {
        display: flex;
        align-items: center;
      }
      .person {
        flex: 1;
        min-inline-size: 0;
        display: flex;
        align-items: center;
        gap: 12px;
        padding: 7px 8px;
        border-radius: 12px;
        text-align: start;
      }
      .person:hover {
        background: var(--_hover);
      }
      .tabs {
        margin: 22px 0 0;
        padding: 12px 14px;
        border-radius: 14px;
        background: var(--_accent-soft);
        font-size: 0.84375rem;
      }
    `,
  ];

  protected override firstUpdated(): void {
    this.#focus();
  }

  protected override updated(changed: Map<string, unknown>): void {
    if (changed.has('config')) this.#focus();
  }

  #focus(): void {
    if (matchMedia('(pointer: fine)').matches) this.find<HTMLInputElement>('input')?.focus();
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const given = new FormData(event.target as HTMLFormElement);
    const name = String(given.get('name') ?? '').trim();
    const token = String(given.get('token') ?? '').trim();
    if (name === '' || this.working || !this.config) return;
    if (!this.config.demo) {
      if (token !== '') this.#signedIn({ user: name, name, token });
      return;
    }
    this.working = true;
    this.problem = '';
    try {
      this.#signedIn(await demoSignIn(name));
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    } finally {
      this.working = false;
    }
  }

  #signedIn(session: Session): void {
    this.tell('signed-in', session);
  }

  protected override render() {
    const { config } = this;
    const people = remembered();
    return html`<main>
      <img class="logo" src="/icon.svg" alt="" />
      <h1>Tidings</h1>
      <p class="tagline">${words('tagline')}</p>
      ${
        config
          ? html`<form @submit=${this.#submit}>
              <label for="name">${words(config.demo ? 'yourName' : 'userName')}</label>
              <input class="field" id="name" name="name" required maxlength="63" autocomplete="username" placeholder=${config.demo ? words('nameHint') : ''} aria-describedby="problem" />
              ${
                config.demo
                  ? nothing
                  : html`<label for="token">${words('token')}</label><input class="field" id="token" name="token" type="password" required autocomplete="current-password" />
                      <p class="hint">${words('tokenHint')}</p>`
              }
              <p class="problem" id="problem" role="alert">${this.problem}</p>
              <button class="button primary" ?disabled=${this.working}>${words(this.working ? 'signingIn' : 'signIn')}</button>
            </form>`
          : html`<p class="problem" role="status">${this.problem}</p>`
      }
      ${
        people.length === 0 || !config
          ? nothing
          : html`<h2>${words('goOnAs')}</h2>
              <ul>
                ${people.map(
                  (session) => html`<li>
                    <button class="person" @click=${() => this.#signedIn(session)}><tidings-avatar .user=${session.user} .name=${session.name}></tidings-avatar><span class="clip">${session.name}</span></button>
                    <button class="icon-button" aria-label=${words('forget', { name: session.name })} title=${words('forget', { name: session.name })} @click=${() => {
                      forget(session.user);
                      this.requestUpdate();
                    }}>✕</button>
                  </li>`,
                )}
              </ul>`
      }
      ${config?.demo ? html`<p class="tabs">${words('perTab')}</p>` : nothing}
    </main>`;
  }
}

customElements.define('messenger-sign-in', SignIn);
