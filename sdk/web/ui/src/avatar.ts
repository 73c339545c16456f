import { css, html, nothing } from 'lit';
import { define } from './define.js';
import { TidingsElement } from './element.js';
import { icons } from './icons.js';
import { controls, tokens } from './theme.js';

const HUES = 12;

/** Always the same for the same id (FNV-1a). */
export function hueOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index += 1) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  // Its last bits differ little between short names (Murmur's finalizer).
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % HUES;
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
  .hue-0 {
    --_hue: light-dark(#c2413a, #f5938b);
    --_disc: #cf5a52;
  }
  .hue-1 {
    --_hue: light-dark(#b4541a, #f7a878);
    --_disc: #c7713a;
  }
  .hue-2 {
    --_hue: light-dark(#94660a, #e6c069);
    --_disc: #ad8428;
  }
  .hue-3 {
    --_hue: light-dark(#4f7a1e, #aed581);
    --_disc: #64933a;
  }
  .hue-4 {
    --_hue: light-dark(#2c7d45, #84d29b);
    --_disc: #3f945c;
  }
  .hue-5 {
    --_hue: light-dark(#0d7a6f, #6fd3c5);
    --_disc: #24897e;
  }
  .hue-6 {
    --_hue: light-dark(#08759a, #74cdf0);
    --_disc: #2388ad;
  }
  .hue-7 {
    --_hue: light-dark(#2a66c0, #93bbfa);
    --_disc: #4a80cf;
  }
  .hue-8 {
    --_hue: light-dark(#5a53cc, #b3b0fb);
    --_disc: #726bd6;
  }
  .hue-9 {
    --_hue: light-dark(#8144bf, #d0a9f7);
    --_disc: #9460cd;
  }
  .hue-10 {
    --_hue: light-dark(#a93a92, #f0a0df);
    --_disc: #b9579f;
  }
  .hue-11 {
    --_hue: light-dark(#b83a63, #f79bb6);
    --_disc: #c6587c;
  }
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
