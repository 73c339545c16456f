import { css, html } from 'lit';
import { define } from '../define.js';
import { TidingsElement } from '../element.js';
import { say } from '../locale/locale.js';
import { controls, scrollbars, tokens } from '../theme.js';
import { EMOJI, recentEmoji, rememberEmoji } from './emoji.js';

const COLUMNS = 8;

/** A small grid of emoji. Arrow keys walk in it; the chosen one is told as `tidings-emoji`. */
export class TidingsEmojiPicker extends TidingsElement {
  static override styles = [
    tokens,
    controls,
    scrollbars,
    css`
      :host {
        display: block;
        inline-size: 328px;
        max-inline-size: 86vw;
      }
      .scrolls {
        block-size: 280px;
      }
      h3 {
        margin: 8px 6px 4px;
        font-size: 0.75rem;
        font-weight: 600;
        color: var(--_muted);
      }
      .grid {
        display: grid;
        grid-template-columns: repeat(8, 1fr);
      }
      button {
        aspect-ratio: 1;
        border-radius: 10px;
        font-size: 1.375rem;
        line-height: 1;
      }
      button:hover {
        background: var(--_hover);
      }
      button:focus-visible {
        outline-offset: -2px;
      }
    `,
  ];

  override focus(): void {
    this.find<HTMLElement>('button')?.focus({ preventScroll: true });
  }

  #choose(emoji: string): void {
    rememberEmoji(emoji);
    this.tell('emoji', { emoji });
  }

  #keys(event: KeyboardEvent): void {
    const buttons = [...this.renderRoot.querySelectorAll('button')];
    const at = buttons.indexOf(this.shadowRoot?.activeElement as HTMLButtonElement);
    const across = this.matches(':dir(rtl)') ? -1 : 1;
    const steps: Record<string, number> = {
      ArrowRight: across,
      ArrowLeft: -across,
      ArrowDown: COLUMNS,
      ArrowUp: -COLUMNS,
    };
    const step = steps[event.key];
    if (step === undefined || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[Math.max(0, Math.min(buttons.length - 1, at + step))]?.focus();
  }

  protected override render() {
    const recent = recentEmoji();
    const groups = recent.length > 0 ? [{ key: 'emoji.recent' as const, emoji: recent }, ...EMOJI] : EMOJI;
    return html`<div class="scrolls" role="group" aria-label=${say('emoji.label')} @keydown=${this.#keys}>
      ${groups.map(
        (group) => html`<h3>${say(group.key)}</h3>
          <div class="grid" role="group" aria-label=${say(group.key)}>
            ${group.emoji.map((emoji) => html`<button aria-label=${emoji} @click=${() => this.#choose(emoji)}>${emoji}</button>`)}
          </div>`,
      )}
    </div>`;
  }
}

define('tidings-emoji-picker', TidingsEmojiPicker);
