import { controls, type FileView, icons, say, TidingsElement, tokens } from '@tidings/ui';
import { css, html, nothing } from 'lit';

/** A picture as large as the window. */
export class Lightbox extends TidingsElement {
  static override properties = { file: { state: true }, address: { state: true } };
  declare private file: FileView | undefined;
  declare private address: string;

  static override styles = [
    tokens,
    controls,
    css`
      dialog {
        inline-size: 100vw;
        block-size: 100dvh;
        max-inline-size: none;
        max-block-size: none;
        margin: 0;
        padding: 0;
        border: 0;
        background: rgb(4 10 10 / 92%);
        color: #fff;
        overflow: hidden;
      }
      figure {
        margin: 0;
        inline-size: 100%;
        block-size: 100%;
        display: grid;
        grid-template-rows: auto 1fr;
      }
      figcaption {
        display: flex;
        align-items: center;
        gap: 8px;
        padding: 8px 10px 8px 20px;
      }
      figcaption span {
        flex: 1;
      }
      .icon-button {
        color: #fff;
      }
      .icon-button:hover {
        background: rgb(255 255 255 / 14%);
        color: #fff;
      }
      img {
        inline-size: 100%;
        block-size: 100%;
        min-block-size: 0;
        object-fit: contain;
        padding: 0 12px 16px;
      }
    `,
  ];

  async open(file: FileView, address: string): Promise<void> {
    this.file = file;
    this.address = address;
    await this.updateComplete;
    this.find<HTMLDialogElement>('dialog')?.showModal();
  }

  #close(): void {
    this.find<HTMLDialogElement>('dialog')?.close();
  }

  protected override render() {
    const { file } = this;
    return html`<dialog aria-label=${file?.name ?? ''} @close=${() => {
      this.file = undefined;
    }}>
      ${
        file
          ? html`<figure>
              <figcaption>
                <span class="clip">${file.name}</span>
                <a class="icon-button" href=${this.address} download=${file.name} aria-label=${say('act.download')} title=${say('act.download')}>${icons.download()}</a>
                <button class="icon-button" aria-label=${say('act.close')} title=${say('act.close')} @click=${this.#close}>${icons.close()}</button>
              </figcaption>
              <img src=${this.address} alt=${file.name} @click=${this.#close} />
            </figure>`
          : nothing
      }
    </dialog>`;
  }
}

customElements.define('messenger-lightbox', Lightbox);
