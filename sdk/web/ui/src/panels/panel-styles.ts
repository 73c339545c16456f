import { css } from 'lit';

/** Of the panels at the side: about a person, about a group. */
export const panelStyles = css`
  :host {
    display: block;
    position: relative;
    min-block-size: 0;
    background: var(--_surface);
  }
  .scrolls {
    position: absolute;
    inset: 0;
    padding: 20px 12px 24px;
  }
  header {
    display: grid;
    justify-items: center;
    gap: 4px;
    text-align: center;
    padding: 0 8px 16px;
    --tidings-avatar-size: 96px;
  }
  h2 {
    margin: 10px 0 0;
    font-size: 1.25rem;
    font-weight: 650;
    max-inline-size: 100%;
  }
  h3 {
    margin: 16px 8px 6px;
    font-size: 0.8125rem;
    font-weight: 600;
    color: var(--_muted);
  }
  .sub {
    color: var(--_muted);
    font-size: 0.875rem;
  }
  .sub.online {
    color: var(--_accent);
  }
  .rows {
    display: grid;
    gap: 2px;
    border-block-start: 1px solid var(--_line);
    padding-block: 8px;
  }
  .act {
    display: flex;
    align-items: center;
    gap: 14px;
    inline-size: 100%;
    padding: 10px 12px;
    border-radius: 12px;
    text-align: start;
  }
  .act svg {
    color: var(--_muted);
    flex: none;
  }
  .act:hover {
    background: var(--_hover);
  }
  .act.danger,
  .act.danger svg {
    color: var(--_danger);
  }
  .fact {
    display: grid;
    padding: 8px 12px;
  }
  .fact small {
    color: var(--_muted);
    font-size: 0.75rem;
  }
  .line {
    display: flex;
    gap: 8px;
    padding: 4px 8px 10px;
  }
  .problem {
    margin: 0 8px 8px;
    color: var(--_danger);
    font-size: 0.8125rem;
  }
  ul {
    list-style: none;
    margin: 0;
    padding: 0;
  }
  .member {
    display: flex;
    align-items: center;
    gap: 12px;
    padding: 6px 4px 6px 8px;
    padding-inline: 8px 4px;
    border-radius: 12px;
    --tidings-avatar-size: 40px;
  }
  .member:hover {
    background: var(--_hover);
    --tidings-avatar-ring: var(--_hover);
  }
  .member > button.open {
    flex: 1;
    min-inline-size: 0;
    text-align: start;
    display: grid;
  }
  .member small {
    color: var(--_muted);
    font-size: 0.8125rem;
  }
  .role {
    font-size: 0.75rem;
    color: var(--_accent);
    background: var(--_accent-soft);
    border-radius: 8px;
    padding: 2px 8px;
  }
  .grid {
    display: grid;
    grid-template-columns: repeat(3, 1fr);
    gap: 3px;
    padding: 0 8px;
    border-radius: 12px;
    overflow: hidden;
  }
  .grid button {
    aspect-ratio: 1;
    overflow: hidden;
    background: var(--_field);
  }
  .grid img {
    inline-size: 100%;
    block-size: 100%;
    object-fit: cover;
  }
  .none {
    color: var(--_muted);
    margin: 4px 8px;
    font-size: 0.875rem;
  }
`;
