import { css } from 'lit';

export const viewStyles = css`
  :host {
    display: block;
    position: relative;
    min-block-size: 0;
    background: var(--_chat);
    background-image: radial-gradient(120% 80% at 0% 0%, color-mix(in srgb, var(--_accent) 7%, transparent), transparent 60%),
      radial-gradient(120% 90% at 100% 100%, color-mix(in srgb, var(--_link) 6%, transparent), transparent 60%);
  }
  .scroller {
    position: absolute;
    inset: 0;
    overflow-x: hidden;
    overflow-anchor: none;
    outline: none;
  }
  .scroller:focus-visible {
    box-shadow: inset 0 0 0 2px var(--_focus);
  }
  .canvas {
    position: relative;
    min-block-size: 100%;
    display: flex;
    flex-direction: column;
    justify-content: flex-end;
  }
  .window {
    position: absolute;
    inset-inline: 0;
    inset-block-start: 0;
  }
  .inner {
    max-inline-size: 980px;
    margin-inline: auto;
  }
  .day,
  .event,
  .new {
    display: flex;
    justify-content: center;
    padding: 10px 24px 6px;
  }
  .event {
    padding-block: 5px;
  }
  .pill {
    padding: 3px 12px;
    border-radius: 12px;
    font-size: 0.78125rem;
    font-weight: 550;
    color: var(--_muted);
    background: color-mix(in srgb, var(--_surface) 82%, transparent);
    text-align: center;
    box-shadow: 0 1px 1px color-mix(in srgb, var(--_shadow) 35%, transparent);
  }
  .event .pill {
    font-weight: 450;
  }
  .new {
    padding-inline: 0;
  }
  .new .pill {
    flex: 1;
    border-radius: 0;
    color: var(--_accent);
    background: color-mix(in srgb, var(--_surface) 70%, transparent);
  }
  .floating {
    position: absolute;
    inset-block-start: 8px;
    inset-inline: 0;
    display: flex;
    justify-content: center;
    pointer-events: none;
    opacity: 0;
    transition: opacity 250ms;
  }
  .floating.seen {
    opacity: 1;
  }
  .floating .pill {
    background: var(--_surface);
  }
  .newest {
    position: absolute;
    inset-block-end: 14px;
    inset-inline-end: 18px;
    inline-size: 44px;
    block-size: 44px;
    border-radius: 50%;
    display: grid;
    place-items: center;
    background: var(--_raised);
    color: var(--_muted);
    box-shadow: 0 2px 10px var(--_shadow);
    transition: transform 140ms, opacity 140ms;
  }
  .newest[hidden] {
    display: grid;
    visibility: hidden;
    opacity: 0;
    transform: translateY(10px);
  }
  .newest .count {
    position: absolute;
    inset-block-start: -7px;
    min-inline-size: 21px;
    padding: 1px 6px;
    border-radius: 11px;
    font-size: 0.75rem;
    font-weight: 650;
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .empty {
    position: absolute;
    inset: 0;
    display: grid;
    place-items: center;
    pointer-events: none;
  }
  .empty .pill {
    padding: 8px 18px;
    border-radius: 18px;
    font-size: 0.875rem;
  }
  .loading {
    position: absolute;
    inset-block-start: 12px;
    inset-inline: 0;
    display: grid;
    place-items: center;
    pointer-events: none;
  }
  .quick {
    display: flex;
    gap: 2px;
    padding: 2px 2px 6px;
    border-block-end: 1px solid var(--_line);
    margin-block-end: 6px;
  }
  .quick button {
    flex: 1;
    inline-size: 40px;
    block-size: 40px;
    border-radius: 50%;
    font-size: 1.375rem;
    line-height: 1;
    display: grid;
    place-items: center;
    color: inherit;
    transition: transform 100ms;
  }
  .quick button:hover {
    transform: scale(1.15);
  }
  .quick button[aria-pressed='true'] {
    background: var(--_accent-soft);
  }
`;
