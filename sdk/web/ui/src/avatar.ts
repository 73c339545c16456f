import { css, html, nothing } from 'lit';
import { define } from './define.js';
import { TidingsElement } from './element.js';
import { icons } from './icons.js';
import { controls, tokens } from './theme.js';

const HUES = 8;

/** Always the same for the same id (FNV-1a). */
export function hueOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index += 1) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % HUES;
}

export function initials(name: string): string {
  const words = name
    .trim()
    .split(/[\s._-]+/u)
    .filter((word) => /[\p{L}\p{N}]/u.test(word));
  const first = [...(words[0] ?? name)][0] ?? '?';
  const last = words.length > 1 ? ([...(words.at(-1) ?? '')][0] ?? '') : '';
  return (first + last).toLocaleUpperCase();
}

/** The colours by hue: of the disc, and of a name in a group. */
export const hues = css`
  .hue-0 { --_hue: light-dark(#c2413a, #f28b82); --_disc: #c2544e; }
  .hue-1 { --_hue: light-dark(#a85b00, #f6b26b); --_disc: #b36a1c; }
  .hue-2 { --_hue: light-dark(#6f7a00, #cdd15f); --_disc: #7c8420; }
  .hue-3 { --_hue: light-dark(#2e7d32, #81c995); --_disc: #3f8a4d; }
  .hue-4 { --_hue: light-dark(#00796b, #6fd3c5); --_disc: #1f8577; }
  .hue-5 { --_hue: light-dark(#1967b8, #8ab4f8); --_disc: #3a76bd; }
  .hue-6 { --_hue: light-dark(#6a45c9, #b9a3f5); --_disc: #7a5cc9; }
  .hue-7 { --_hue: light-dark(#ad3b85, #f39ac7); --_disc: #b0528f; }
`;

/** A disc with initials, or a picture; a dot when its user is online. */
export class TidingsAvatar extends TidingsElement {
  static override properties = {
    user: {},
    name: {},
    src: {},
    group: { type: Boolean },
    online: { type: Boolean },
  };
  declare user: string;
  declare name: string;
  declare src: string | undefined;
  declare group: boolean;
  declare online: boolean;

  constructor() {
    super();
    this.user = '';
    this.name = '';
    this.group = false;
    this.online = false;
  }

  static override styles = [
    tokens,
    controls,
    hues,
    css`
      :host {
        display: inline-block;
        position: relative;
        flex: none;
        inline-size: var(--tidings-avatar-size, 48px);
        block-size: var(--tidings-avatar-size, 48px);
        container-type: size;
        user-select: none;
      }
      .disc {
        inline-size: 100%;
        block-size: 100%;
        border-radius: 50%;
        display: grid;
        place-items: center;
        overflow: hidden;
        color: #fff;
        background: linear-gradient(160deg, color-mix(in srgb, var(--_disc) 86%, #fff), var(--_disc) 70%);
        font-weight: 600;
        font-size: 40cqmin;
        line-height: 1;
        letter-spacing: 0.01em;
      }
      img {
        inline-size: 100%;
        block-size: 100%;
        object-fit: cover;
      }
      svg {
        inline-size: 54%;
        block-size: 54%;
      }
      .dot {
        position: absolute;
        inset-block-end: 1%;
        inset-inline-end: 1%;
        inline-size: 27%;
        block-size: 27%;
        border-radius: 50%;
        background: var(--_online);
        border: 2.5px solid var(--tidings-avatar-ring, var(--_surface));
      }
    `,
  ];

  protected override render() {
    const name = this.name || this.user;
    return html`<span class="disc hue-${hueOf(this.user || name)}" part="disc" aria-hidden="true"
        >${this.src ? html`<img src=${this.src} alt="" />` : this.group && !name ? icons.people() : initials(name)}</span
      >${this.online ? html`<span class="dot" part="online"></span>` : nothing}`;
  }
}

define('tidings-avatar', TidingsAvatar);
