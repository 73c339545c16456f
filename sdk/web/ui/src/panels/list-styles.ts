import { css } from 'lit';

export const listStyles = css`
  :host {
    display: block;
    position: relative;
    min-block-size: 0;
    background: var(--_surface);
  }
  .scrolls {
    position: absolute;
    inset: 0;
    padding: 4px 8px 12px;
  }
  ul {
    list-style: none;
    margin: 0;
    padding: 0;
  }
  li {
    content-visibility: auto;
    contain-intrinsic-block-size: auto 68px;
  }
  .conversation {
    display: flex;
    align-items: center;
    gap: 12px;
    inline-size: 100%;
    padding: 9px 10px;
    border-radius: 14px;
    text-align: start;
    transition: background-color 90ms;
  }
  .conversation:hover {
    background: var(--_hover);
    --tidings-avatar-ring: var(--_hover);
  }
  .conversation.selected {
    background: var(--_selected);
    --tidings-avatar-ring: var(--_selected);
  }
  .conversation:focus-visible {
    outline-offset: -2px;
  }
  .words {
    flex: 1;
    min-inline-size: 0;
    display: grid;
    gap: 3px;
  }
  .top,
  .bottom {
    display: flex;
    align-items: center;
    gap: 6px;
    min-inline-size: 0;
  }
  .top b {
    font-weight: 600;
    flex: 0 1 auto;
  }
  .top time {
    margin-inline-start: auto;
    flex: none;
  }
  .small {
    font-size: 0.75rem;
    color: var(--_muted);
    flex: none;
  }
  .said {
    flex: 1;
    min-inline-size: 0;
    font-size: 0.875rem;
    line-height: 20px;
    color: var(--_muted);
    text-align: start;
  }
  .unread .top time {
    color: var(--_accent);
    font-weight: 600;
  }
  .who {
    color: var(--_text);
  }
  .typing {
    color: var(--_accent);
    font-weight: 500;
  }
  .draft {
    color: var(--_danger);
  }
  .status {
    display: inline-block;
    vertical-align: -1px;
    margin-inline-end: 4px;
  }
  .status.read {
    color: var(--_tick);
  }
  .status.failed {
    color: var(--_danger);
  }
  .badge {
    flex: none;
    min-inline-size: 21px;
    block-size: 21px;
    padding: 0 6px;
    border-radius: 11px;
    display: inline-grid;
    place-items: center;
    font-size: 0.75rem;
    font-weight: 650;
    font-variant-numeric: tabular-nums;
    background: var(--_accent);
    color: var(--_on-accent);
    position: relative;
  }
  .badge.quiet {
    background: var(--_muted);
    color: var(--_surface);
  }
  .fold {
    display: flex;
    align-items: center;
    gap: 12px;
    inline-size: 100%;
    padding: 12px 20px;
    border-radius: 14px;
    color: var(--_muted);
    text-align: start;
  }
  .fold:hover {
    background: var(--_hover);
  }
  .fold small {
    margin-inline-start: auto;
  }
  .none {
    display: grid;
    gap: 4px;
    justify-items: center;
    margin: 48px 24px;
    text-align: center;
    color: var(--_muted);
  }
  .none b {
    color: var(--_text);
    font-weight: 600;
  }
  .ghost {
    display: flex;
    gap: 12px;
    padding: 9px 10px;
  }
  .ghost i {
    inline-size: 48px;
    block-size: 48px;
    border-radius: 50%;
    background: var(--_field);
  }
  .ghost span {
    flex: 1;
    margin-block: 8px;
    border-radius: 10px;
    background: var(--_field);
  }
`;
