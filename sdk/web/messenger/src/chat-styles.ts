import { css } from 'lit';

export const chatStyles = css`
  :host {
    display: block;
    min-inline-size: 0;
    block-size: 100%;
  }
  .pane {
    position: relative;
    display: flex;
    flex-direction: column;
    block-size: 100%;
  }
  header {
    display: flex;
    align-items: center;
    gap: 4px;
    min-block-size: 64px;
    padding: 6px 12px;
    background: var(--_surface);
    border-block-end: 1px solid var(--_line);
    --tidings-avatar-size: 42px;
  }
  .back {
    display: none;
    margin-inline-start: -6px;
  }
  :host(:dir(rtl)) .back svg {
    transform: scaleX(-1);
  }
  .title {
    flex: 1;
    min-inline-size: 0;
    display: flex;
    align-items: center;
    gap: 12px;
    padding: 4px;
    border-radius: 14px;
    text-align: start;
  }
  .names {
    min-inline-size: 0;
    display: grid;
  }
  .names b {
    font-weight: 650;
  }
  .names small {
    min-block-size: 18px;
    font-size: 0.8125rem;
    color: var(--_muted);
  }
  .names small.live {
    color: var(--_accent);
  }
  .pinned {
    display: flex;
    align-items: center;
    gap: 12px;
    padding: 7px 20px;
    text-align: start;
    background: var(--_surface);
    border-block-end: 1px solid var(--_line);
    color: var(--_accent);
    font-size: 0.84375rem;
  }
  .pinned > span {
    min-inline-size: 0;
    display: grid;
  }
  .pinned b {
    font-weight: 600;
    font-size: 0.8125rem;
  }
  .pinned .clip {
    color: var(--_muted);
  }
  tidings-message-view {
    flex: 1;
  }
  .drop {
    position: absolute;
    inset: 12px;
    display: grid;
    place-items: center;
    border: 2.5px dashed var(--_accent);
    border-radius: 24px;
    background: color-mix(in srgb, var(--_surface) 88%, transparent);
    color: var(--_accent);
    font-weight: 650;
    font-size: 1.125rem;
    pointer-events: none;
    z-index: 3;
  }
  .drop span {
    display: flex;
    align-items: center;
    gap: 12px;
  }
  @media (max-width: 760px) {
    .back {
      display: inline-grid;
    }
  }
`;
