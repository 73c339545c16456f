import { css } from 'lit';

export const bubbleStyles = css`
  .row {
    display: flex;
    gap: 8px;
    padding: 1px 16px;
    position: relative;
  }
  .row.first {
    padding-block-start: 7px;
  }
  .row.mine {
    justify-content: flex-end;
  }
  .row.found .bubble {
    animation: found 1.8s ease-out;
  }
  @keyframes found {
    0%,
    40% {
      box-shadow: 0 0 0 3px var(--_accent);
    }
  }
  .who {
    flex: none;
    inline-size: 34px;
    align-self: flex-end;
    --tidings-avatar-size: 34px;
  }
  .column {
    display: flex;
    flex-direction: column;
    align-items: flex-start;
    min-inline-size: 0;
    max-inline-size: min(78%, 600px);
  }
  .row.mine .column {
    align-items: flex-end;
  }
  .bubble {
    position: relative;
    max-inline-size: 100%;
    padding: 6px 11px 7px;
    border-radius: var(--_radius);
    background: var(--_in);
    color: var(--_in-text);
    box-shadow: 0 1px 1px color-mix(in srgb, var(--_shadow) 45%, transparent);
    overflow-wrap: anywhere;
    --_meta: var(--_muted);
  }
  .row:not(.first, .mine) .bubble {
    border-start-start-radius: 6px;
  }
  .row:not(.last, .mine) .bubble {
    border-end-start-radius: 6px;
  }
  .row.last:not(.mine) .bubble {
    border-end-start-radius: 4px;
  }
  .row.mine .bubble {
    background: var(--_out);
    color: var(--_out-text);
    --_meta: var(--_out-muted);
  }
  .row.mine:not(.first) .bubble {
    border-start-end-radius: 6px;
  }
  .row.mine:not(.last) .bubble {
    border-end-end-radius: 6px;
  }
  .row.mine.last .bubble {
    border-end-end-radius: 4px;
  }
  .row:focus {
    outline: none;
  }
  .row:focus-visible .bubble {
    outline: 2px solid var(--_focus);
    outline-offset: 2px;
  }
  .sender {
    display: block;
    font-weight: 600;
    font-size: 0.8125rem;
    color: var(--_hue, var(--_accent));
    margin-block-end: 1px;
  }
  .text {
    white-space: pre-wrap;
    unicode-bidi: plaintext;
    text-align: start;
  }
  .text a {
    color: var(--_link);
    text-decoration-thickness: 1px;
    text-underline-offset: 2px;
  }
  .row.mine .text a {
    color: inherit;
  }
  .mention {
    color: var(--_link);
    font-weight: 600;
  }
  .mention.of-me {
    background: color-mix(in srgb, var(--_accent) 18%, transparent);
    color: inherit;
    border-radius: 5px;
    padding: 0 3px;
  }
  .gone {
    color: var(--_meta);
    font-style: italic;
  }
  .meta {
    position: absolute;
    inset-block-end: 5px;
    inset-inline-end: 10px;
  }
  .meta,
  .meta-room {
    display: inline-flex;
    align-items: center;
    gap: 4px;
    font-size: 0.6875rem;
    line-height: 1.3;
    white-space: nowrap;
    color: var(--_meta);
    user-select: none;
  }
  .meta-room {
    visibility: hidden;
    margin-inline-start: 10px;
    block-size: 8px;
    vertical-align: baseline;
  }
  .own-line .meta,
  :host(:dir(rtl)) .runs-ltr .meta,
  :host(:dir(ltr)) .runs-rtl .meta {
    position: static;
    display: flex;
    justify-content: flex-end;
    margin-block-start: 2px;
  }
  .own-line .meta-room,
  :host(:dir(rtl)) .runs-ltr .meta-room,
  :host(:dir(ltr)) .runs-rtl .meta-room {
    display: none;
  }
  .meta .tick {
    stroke-width: 1.7;
  }
  .meta.read .tick {
    color: var(--_tick);
  }
  .meta.failed {
    color: var(--_danger);
  }
  .row.mine .meta.failed {
    color: light-dark(#a3201a, #ffb4ac);
  }
  .bubble.emoji {
    background: none !important;
    box-shadow: none;
    padding: 2px 4px 20px;
  }
  .bubble.emoji .text {
    font-size: 2.75rem;
    line-height: 1.15;
  }
  .bubble.emoji .meta-room {
    display: none;
  }
  .bubble.emoji .meta {
    --_meta: var(--_muted);
    inset-inline-end: 4px;
  }
  .quote {
    display: block;
    inline-size: 100%;
    text-align: start;
    margin: 2px 0 5px;
    padding: 4px 10px;
    border-radius: 8px;
    border-inline-start: 3px solid var(--_hue, var(--_accent));
    background: color-mix(in srgb, var(--_hue, var(--_accent)) 10%, transparent);
    font-size: 0.84375rem;
    max-inline-size: 420px;
  }
  .quote b {
    display: block;
    font-weight: 600;
    color: var(--_hue, var(--_accent));
  }
  .quote span {
    display: block;
    color: inherit;
    opacity: 0.8;
  }
  .mark {
    display: flex;
    align-items: center;
    gap: 4px;
    font-size: 0.75rem;
    color: var(--_meta);
  }
  .title {
    display: block;
    font-weight: 650;
  }
  .reactions {
    display: flex;
    flex-wrap: wrap;
    gap: 4px;
    margin-block: 3px 1px;
    padding-inline: 4px;
  }
  .chip {
    display: inline-flex;
    align-items: center;
    gap: 5px;
    block-size: 26px;
    padding: 0 9px;
    border-radius: 13px;
    font-size: 0.8125rem;
    font-variant-numeric: tabular-nums;
    background: var(--_in);
    color: var(--_in-text);
    box-shadow: 0 0 0 1px var(--_line);
  }
  .chip.mine {
    background: var(--_accent-soft);
    box-shadow: 0 0 0 1.5px var(--_accent);
  }
  .beside {
    display: flex;
    align-self: center;
    opacity: 0;
    transition: opacity 100ms;
    flex: none;
  }
  .row.mine .beside {
    order: -1;
  }
  .row:hover .beside,
  .row:focus-within .beside,
  .beside:has([aria-expanded='true']) {
    opacity: 1;
  }
  .beside .icon-button {
    inline-size: 30px;
    block-size: 30px;
    color: var(--_muted);
  }
  @media (hover: none) {
    .beside {
      display: none;
    }
  }
  .reason {
    display: flex;
    align-items: center;
    gap: 8px;
    font-size: 0.75rem;
    color: var(--_danger);
    padding: 2px 4px;
  }
  .reason button {
    color: var(--_danger);
    font-weight: 600;
    text-decoration: underline;
    text-underline-offset: 2px;
  }
`;

export const fileStyles = css`
  .files {
    display: grid;
    gap: 3px;
    margin: 2px 0 4px;
  }
  .bubble.pictures {
    padding: 4px;
  }
  .bubble.pictures > .text,
  .bubble.pictures > .sender,
  .bubble.pictures > .mark {
    padding-inline: 7px;
  }
  .bubble.pictures > .text {
    padding-block-end: 2px;
    max-inline-size: 340px;
  }
  .bubble.pictures .files {
    margin: 0;
    grid-template-columns: 1fr 1fr;
    border-radius: 13px;
    overflow: hidden;
  }
  .bubble.pictures .sender + .files,
  .bubble.pictures .files + .text {
    margin-block-start: 4px;
  }
  .bubble.pictures .files.one {
    grid-template-columns: 1fr;
  }
  .picture {
    position: relative;
    display: block;
    inline-size: 168px;
    block-size: 168px;
    overflow: hidden;
    background: color-mix(in srgb, var(--_muted) 18%, transparent);
  }
  .one .picture {
    inline-size: 340px;
    max-inline-size: 100%;
    block-size: auto;
    max-block-size: 400px;
    aspect-ratio: var(--_ratio, 4 / 3);
  }
  .picture img {
    position: absolute;
    inset: 0;
    inline-size: 100%;
    block-size: 100%;
    object-fit: cover;
  }
  .picture img.thumb {
    filter: blur(6px);
    transform: scale(1.06);
  }
  .picture:focus-visible {
    outline-offset: -3px;
  }
  .over .meta {
    padding: 2px 7px;
    border-radius: 10px;
    background: rgb(0 0 0 / 52%);
    color: #fff;
    inset-block-end: 10px;
    inset-inline-end: 10px;
  }
  .over .meta.read .tick {
    color: #8ee9f2;
  }
  progress {
    position: absolute;
    inset-inline: 12px;
    inset-block-end: 12px;
    inline-size: calc(100% - 24px);
    block-size: 5px;
    accent-color: var(--_accent);
  }
  .file {
    display: flex;
    align-items: center;
    gap: 10px;
    padding: 4px 6px 4px 2px;
    inline-size: 260px;
    max-inline-size: 100%;
    text-align: start;
    border-radius: 10px;
    position: relative;
  }
  .file .sign {
    display: grid;
    place-items: center;
    flex: none;
    inline-size: 42px;
    block-size: 42px;
    border-radius: 12px;
    background: color-mix(in srgb, var(--_accent) 16%, transparent);
    color: var(--_accent);
  }
  .file .names {
    min-inline-size: 0;
  }
  .file b {
    display: block;
    font-weight: 600;
  }
  .file small {
    color: var(--_meta);
    font-size: 0.75rem;
  }
  .place {
    display: flex;
    align-items: center;
    gap: 8px;
    color: var(--_link);
  }
  .poll {
    inline-size: 300px;
    max-inline-size: 100%;
    border: 0;
    margin: 0 0 4px;
    padding: 0;
  }
  .poll legend {
    font-weight: 650;
    padding: 0;
    margin-block-end: 6px;
  }
  .option {
    display: grid;
    grid-template-columns: 20px 1fr auto;
    gap: 2px 8px;
    align-items: center;
    inline-size: 100%;
    padding: 5px 0;
    text-align: start;
  }
  .option .dot {
    inline-size: 18px;
    block-size: 18px;
    border-radius: 50%;
    border: 2px solid var(--_meta);
    display: grid;
    place-items: center;
  }
  .option[aria-pressed='true'] .dot {
    border-color: var(--_accent);
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .option meter {
    grid-column: 2 / 4;
    inline-size: 100%;
    block-size: 5px;
    appearance: none;
    border: 0;
    border-radius: 3px;
    background: color-mix(in srgb, var(--_meta) 25%, transparent);
  }
  .option meter::-webkit-meter-bar {
    block-size: 5px;
    border: 0;
    border-radius: 3px;
    background: color-mix(in srgb, var(--_meta) 25%, transparent);
  }
  .option meter::-webkit-meter-optimum-value {
    background: var(--_accent);
    border-radius: 3px;
  }
`;
