import { LitElement, type PropertyValues } from 'lit';
import { onLanguage } from './locale/locale.js';

/** What all elements have: they follow the language, and tell what happened as composed events named `tidings-…`. */
export abstract class TidingsElement extends LitElement {
  #unfollow: (() => void) | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#unfollow = onLanguage(() => this.requestUpdate());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#unfollow?.();
  }

  /** False when a listener prevented what follows by itself. */
  protected tell<Detail>(name: string, detail?: Detail): boolean {
    return this.dispatchEvent(
      new CustomEvent(`tidings-${name}`, { detail, bubbles: true, composed: true, cancelable: true }),
    );
  }

  protected find<E extends Element>(selector: string): E | null {
    return this.renderRoot.querySelector<E>(selector);
  }
}

export type Changed = PropertyValues;
