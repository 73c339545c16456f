import { css } from 'lit';

/**
 * The design's tokens. A page sets `--tidings-…` anywhere above an element; what it leaves out has a default for light and for dark,
 * chosen by the page's `color-scheme`. Elements use the short names with the underscore.
 */
export const tokens = css`
  :host {
    --_accent: var(--tidings-accent, light-dark(#0b766f, #4cc9bb));
    --_on-accent: var(--tidings-on-accent, light-dark(#ffffff, #06201e));
    --_accent-soft: var(--tidings-accent-soft, light-dark(#dff2ef, #17393a));
    --_text: var(--tidings-text, light-dark(#16211f, #e8efee));
    --_muted: var(--tidings-muted, light-dark(#596865, #94a6a4));
    --_surface: var(--tidings-surface, light-dark(#ffffff, #131c1e));
    --_raised: var(--tidings-raised, light-dark(#ffffff, #1d292b));
    --_field: var(--tidings-field, light-dark(#f0f3f3, #1e2a2d));
    --_hover: var(--tidings-hover, light-dark(#f3f6f6, #1a2628));
    --_selected: var(--tidings-selected, light-dark(#e0f1ee, #1d3a3a));
    --_line: var(--tidings-line, light-dark(#e4e9e8, #243235));
    --_chat: var(--tidings-chat, light-dark(#eaf0ee, #0c1315));
    --_in: var(--tidings-bubble-in, light-dark(#ffffff, #1d292c));
    --_in-text: var(--tidings-bubble-in-text, var(--_text));
    --_out: var(--tidings-bubble-out, light-dark(#d3f0ea, #14504b));
    --_out-text: var(--tidings-bubble-out-text, light-dark(#10221f, #ecf7f5));
    --_out-muted: var(--tidings-bubble-out-muted, light-dark(#45655f, #a3cbc5));
    --_tick: var(--tidings-tick, light-dark(#0a7d8c, #6fdcea));
    --_danger: var(--tidings-danger, light-dark(#c0322b, #ff8a80));
    --_online: var(--tidings-online, light-dark(#1b9e5a, #3ddc84));
    --_link: var(--tidings-link, light-dark(#0b66b0, #7cc4ff));
    --_shadow: var(--tidings-shadow, light-dark(rgb(16 33 30 / 16%), rgb(0 0 0 / 55%)));
    --_radius: var(--tidings-radius, 16px);
    --_font: var(--tidings-font, 'Inter', system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', sans-serif, 'Noto Color Emoji');
    --_size: var(--tidings-font-size, 0.9375rem);
    --_focus: var(--tidings-focus, var(--_accent));
    font: 400 var(--_size) / 1.4 var(--_font);
    color: var(--_text);
    -webkit-font-smoothing: antialiased;
  }
  :host([theme='light']) {
    color-scheme: light;
  }
  :host([theme='dark']) {
    color-scheme: dark;
  }
  :host([hidden]) {
    display: none !important;
  }
`;

/** What more than one element is made of. */
export const controls = css`
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  button,
  input,
  textarea,
  select {
    font: inherit;
    color: inherit;
  }
  button {
    border: 0;
    background: none;
    padding: 0;
    cursor: pointer;
    -webkit-tap-highlight-color: transparent;
  }
  :focus-visible {
    outline: 2px solid var(--_focus);
    outline-offset: 2px;
  }
  .icon-button {
    display: inline-grid;
    place-items: center;
    flex: none;
    inline-size: 40px;
    block-size: 40px;
    border-radius: 50%;
    color: var(--_muted);
    transition: background-color 120ms, color 120ms;
  }
  .icon-button:hover {
    background: var(--_hover);
    color: var(--_text);
  }
  .icon-button[aria-pressed='true'],
  .icon-button[aria-expanded='true'] {
    color: var(--_accent);
  }
  .icon-button:disabled {
    opacity: 0.4;
    cursor: default;
  }
  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: 8px;
    min-block-size: 38px;
    padding: 0 16px;
    border-radius: 999px;
    font-weight: 600;
    color: var(--_accent);
    background: var(--_accent-soft);
  }
  .button.primary {
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .button.danger {
    color: var(--_danger);
    background: color-mix(in srgb, var(--_danger) 12%, transparent);
  }
  .button:hover {
    filter: brightness(0.97);
  }
  .button:disabled {
    opacity: 0.5;
    cursor: default;
  }
  .field {
    inline-size: 100%;
    min-block-size: 40px;
    padding: 8px 14px;
    border: 1px solid transparent;
    border-radius: 12px;
    background: var(--_field);
    outline: none;
  }
  .field:focus-visible {
    border-color: var(--_focus);
    outline: 1px solid var(--_focus);
    outline-offset: 0;
  }
  .field::placeholder {
    color: var(--_muted);
    opacity: 1;
  }
  .unseen {
    position: absolute;
    inline-size: 1px;
    block-size: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  .clip {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  svg {
    display: block;
    fill: none;
    stroke: currentColor;
    stroke-width: 1.8;
    stroke-linecap: round;
    stroke-linejoin: round;
  }
  .menu {
    margin: 0;
    padding: 6px;
    border: 0;
    border-radius: 14px;
    min-inline-size: 190px;
    max-inline-size: min(320px, 92vw);
    background: var(--_raised);
    color: var(--_text);
    box-shadow: 0 8px 30px var(--_shadow), 0 0 0 1px var(--_line);
  }
  .menu button.item {
    display: flex;
    align-items: center;
    gap: 12px;
    inline-size: 100%;
    padding: 8px 12px;
    border-radius: 9px;
    text-align: start;
  }
  .menu button.item svg {
    color: var(--_muted);
  }
  .menu button.item:hover,
  .menu button.item:focus-visible {
    background: var(--_hover);
  }
  .menu button.item.danger,
  .menu button.item.danger svg {
    color: var(--_danger);
  }
  .spinner {
    flex: none;
    inline-size: var(--_spinner, 26px);
    aspect-ratio: 1;
    border-radius: 50%;
    border: calc(var(--_spinner, 26px) / 8) solid color-mix(in srgb, var(--_accent) 25%, transparent);
    border-block-start-color: var(--_accent);
    animation: turn 0.8s linear infinite;
  }
  @keyframes turn {
    to {
      transform: rotate(1turn);
    }
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation-duration: 1ms !important;
      transition-duration: 1ms !important;
      scroll-behavior: auto !important;
    }
  }
`;

/** Thin bars that do not push the content. */
export const scrollbars = css`
  .scrolls {
    overflow-y: auto;
    overscroll-behavior: contain;
    scrollbar-width: thin;
    scrollbar-color: color-mix(in srgb, var(--_muted) 45%, transparent) transparent;
  }
`;
