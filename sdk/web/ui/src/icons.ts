import { html, type SVGTemplateResult, svg, type TemplateResult } from 'lit';

function icon(body: SVGTemplateResult): (size?: number) => TemplateResult {
  return (size = 20) =>
    html`<svg part="icon" viewBox="0 0 24 24" width=${size} height=${size} aria-hidden="true">${body}</svg>`;
}

/** Drawn for this package, on a grid of 24. */
export const icons = {
  back: icon(svg`<path d="M15 5l-7 7 7 7"/>`),
  close: icon(svg`<path d="M6 6l12 12M18 6L6 18"/>`),
  search: icon(svg`<circle cx="10.5" cy="10.5" r="6.5"/><path d="M15.5 15.5L20 20"/>`),
  more: icon(
    svg`<circle cx="12" cy="5.5" r="1.2" fill="currentColor"/><circle cx="12" cy="12" r="1.2" fill="currentColor"/><circle cx="12" cy="18.5" r="1.2" fill="currentColor"/>`,
  ),
  info: icon(svg`<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5M12 8v.1"/>`),
  compose: icon(svg`<path d="M4 20h4L19 9a2.1 2.1 0 0 0-3-3L5 17z"/><path d="M14 8l3 3"/>`),
  people: icon(
    svg`<circle cx="9" cy="8.5" r="3.5"/><path d="M2.5 19.5c.6-3.6 3.2-5.5 6.5-5.5s5.9 1.9 6.5 5.5"/><path d="M16 5.3a3.3 3.3 0 0 1 0 6.4M17.5 14.3c2.3.5 3.7 2.3 4 5.2"/>`,
  ),
  person: icon(svg`<circle cx="12" cy="8" r="4"/><path d="M4.5 20c.8-4 3.8-6 7.5-6s6.7 2 7.5 6"/>`),
  addPerson: icon(
    svg`<circle cx="10" cy="8" r="4"/><path d="M2.5 20c.8-4 3.8-6 7.5-6s6.7 2 7.5 6"/><path d="M19.5 6v6M16.5 9h6"/>`,
  ),
  attach: icon(
    svg`<path d="M20 11.5l-7.8 7.8a5 5 0 0 1-7.1-7.1l8.2-8.2a3.4 3.4 0 0 1 4.8 4.8l-8.2 8.2a1.7 1.7 0 0 1-2.4-2.4l7.3-7.3"/>`,
  ),
  smile: icon(
    svg`<circle cx="12" cy="12" r="8.8"/><path d="M8.3 14.2c.9 1.4 2.2 2.1 3.7 2.1s2.8-.7 3.7-2.1"/><path d="M9 9.5v.6M15 9.5v.6"/>`,
  ),
  send: icon(
    svg`<path fill="currentColor" d="M4.2 4.6l16 6.7c.6.3.6 1.1 0 1.4l-16 6.7c-.6.2-1.2-.3-1-.9L5 13l8-1-8-1-1.8-5.5c-.2-.6.4-1.1 1-.9z"/>`,
  ),
  plus: icon(svg`<path d="M12 5v14M5 12h14"/>`),
  check: icon(svg`<path d="M5 12.5l4.5 4.5L19 7"/>`),
  reply: icon(svg`<path d="M9 6L3.5 11.5 9 17"/><path d="M4 11.5h9.5c4 0 6.5 2.3 7 6.5"/>`),
  forward: icon(svg`<path d="M15 6l5.5 5.5L15 17"/><path d="M20 11.5h-9.5c-4 0-6.5 2.3-7 6.5"/>`),
  copy: icon(
    svg`<rect x="8.5" y="8.5" width="11" height="11" rx="2.5"/><path d="M15.5 8.5V7A2.5 2.5 0 0 0 13 4.5H7A2.5 2.5 0 0 0 4.5 7v6A2.5 2.5 0 0 0 7 15.5h1.5"/>`,
  ),
  bin: icon(svg`<path d="M5 7h14M10 4h4M7 7l1 12.5h8L17 7M10.3 10.5v6M13.7 10.5v6"/>`),
  pin: icon(svg`<path d="M14.5 3.5l6 6-3 1-3.5 3.5-.5 4-7.5-7.5 4-.5 3.5-3.5z"/><path d="M9.5 14.5L4 20"/>`),
  bellOff: icon(
    svg`<path d="M6.5 9.5c0-.9.2-1.8.6-2.5M9 4.9c.9-.6 1.9-.9 3-.9 3 0 5.5 2.5 5.5 5.5V13l1.5 3H6.5M10 19.5h4"/><path d="M4 4l16 16"/>`,
  ),
  bell: icon(svg`<path d="M6.5 9.5a5.5 5.5 0 0 1 11 0V13l1.5 3.5H5L6.5 13zM10 19.5h4"/>`),
  archive: icon(
    svg`<rect x="3.5" y="4.5" width="17" height="4.5" rx="1.2"/><path d="M5 9v9a1.8 1.8 0 0 0 1.8 1.8h10.4A1.8 1.8 0 0 0 19 18V9M10 13h4"/>`,
  ),
  star: icon(svg`<path d="M12 3.8l2.5 5.2 5.7.8-4.1 4 1 5.7-5.1-2.7-5.1 2.7 1-5.7-4.1-4 5.7-.8z"/>`),
  block: icon(svg`<circle cx="12" cy="12" r="8.5"/><path d="M6 6l12 12"/>`),
  unread: icon(svg`<path d="M20.5 12a8.5 8.5 0 1 1-4-7.2"/><circle cx="19" cy="6" r="2.5" fill="currentColor"/>`),
  down: icon(svg`<path d="M6 9.5l6 6 6-6"/>`),
  download: icon(svg`<path d="M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14"/>`),
  file: icon(svg`<path d="M6.5 3.5h7l4.5 4.5v12.5H6.5z"/><path d="M13.5 3.5V8H18"/>`),
  link: icon(
    svg`<path d="M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1"/>`,
  ),
  gear: icon(
    svg`<circle cx="12" cy="12" r="3"/><path d="M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M18.4 5.6l-2.1 2.1M7.7 16.3l-2.1 2.1"/>`,
  ),
  leave: icon(svg`<path d="M14 4.5H6.5v15H14M11 12h9.5M17 8.5l3.5 3.5-3.5 3.5"/>`),
  clock: icon(svg`<circle cx="12" cy="12" r="8"/><path d="M12 7.5V12l3 2"/>`),
  warning: icon(svg`<circle cx="12" cy="12" r="8.5"/><path d="M12 7.5v5.5M12 16v.1"/>`),
  forbidden: icon(svg`<circle cx="12" cy="12" r="8"/><path d="M7 7l10 10"/>`),
  poll: icon(svg`<path d="M4.5 19.5v-7M10 19.5v-14M15.5 19.5v-9M20.5 19.5h-17"/>`),
  place: icon(
    svg`<path d="M12 21c4.5-4.8 6.5-8.2 6.5-11a6.5 6.5 0 0 0-13 0c0 2.8 2 6.2 6.5 11z"/><circle cx="12" cy="10" r="2.3"/>`,
  ),
  offline: icon(
    svg`<path d="M3 9.5c5.5-4.7 12.5-4.7 18 0M6.5 13c3.3-2.6 7.7-2.6 11 0M12 18v.1"/><path d="M4 4l16 16"/>`,
  ),
  moon: icon(svg`<path d="M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z"/>`),
};

/** One tick: sent. Two: delivered; in colour: read. */
export function ticks(double: boolean): TemplateResult {
  return html`<svg class="tick" viewBox="0 0 20 12" width="18" height="11" aria-hidden="true">
    <path d="M${double ? 1.5 : 5} 6.5l3.8 3.8L13 2"></path>${double ? svg`<path d="M8.8 10.3L17.5 2"></path>` : ''}
  </svg>`;
}
