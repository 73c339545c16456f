import { css } from 'lit';

export const composerStyles = css`
  :host {
    display: block;
    position: relative;
    background: var(--_surface);
    border-block-start: 1px solid var(--_line);
  }
  form {
    max-inline-size: 980px;
    margin-inline: auto;
    padding: 8px 10px;
  }
  .line {
    display: flex;
    align-items: flex-end;
    gap: 4px;
  }
  .box {
    flex: 1;
    min-inline-size: 0;
    display: flex;
    align-items: flex-end;
    border-radius: 22px;
    background: var(--_field);
  }
  .box:focus-within {
    box-shadow: 0 0 0 1.5px color-mix(in srgb, var(--_focus) 55%, transparent);
  }
  textarea {
    flex: 1;
    min-inline-size: 0;
    min-block-size: 42px;
    max-block-size: 168px;
    padding: 10px 4px 10px 16px;
    padding-inline: 16px 4px;
    border: 0;
    background: none;
    outline: none;
    resize: none;
    font-size: max(var(--_size), 16px);
    line-height: 22px;
    field-sizing: content;
    scrollbar-width: thin;
  }
  textarea:focus-visible {
    outline: none;
  }
  textarea::placeholder {
    color: var(--_muted);
    opacity: 1;
  }
  .box .icon-button {
    margin: 1px;
  }
  .send {
    inline-size: 44px;
    block-size: 44px;
    background: var(--_accent);
    color: var(--_on-accent);
  }
  .send:hover:not(:disabled) {
    background: var(--_accent);
    color: var(--_on-accent);
    filter: brightness(1.07);
  }
  .send:disabled {
    background: none;
    color: var(--_muted);
  }
  :host(:dir(rtl)) .send svg {
    transform: scaleX(-1);
  }
  .context {
    display: flex;
    align-items: center;
    gap: 10px;
    padding: 2px 4px 8px 8px;
  }
  .context > svg {
    color: var(--_accent);
    flex: none;
  }
  .context div {
    flex: 1;
    min-inline-size: 0;
    border-inline-start: 3px solid var(--_accent);
    padding-inline-start: 10px;
    font-size: 0.84375rem;
  }
  .context b {
    display: block;
    font-weight: 600;
    color: var(--_accent);
  }
  .context span {
    display: block;
    color: var(--_muted);
  }
  .tray {
    display: flex;
    gap: 8px;
    overflow-x: auto;
    padding: 4px 4px 10px;
    margin: 0;
    list-style: none;
    scrollbar-width: thin;
  }
  .tray li {
    position: relative;
    flex: none;
    inline-size: 92px;
    block-size: 92px;
    border-radius: 12px;
    background: var(--_field);
    display: grid;
    place-items: center;
    text-align: center;
    font-size: 0.75rem;
    padding: 6px;
    overflow: hidden;
  }
  .tray img {
    position: absolute;
    inset: 0;
    inline-size: 100%;
    block-size: 100%;
    object-fit: cover;
  }
  .tray .clip {
    max-inline-size: 80px;
    display: block;
  }
  .tray button {
    position: absolute;
    inset-block-start: 4px;
    inset-inline-end: 4px;
    inline-size: 24px;
    block-size: 24px;
    border-radius: 50%;
    display: grid;
    place-items: center;
    background: rgb(0 0 0 / 60%);
    color: #fff;
  }
  .note {
    padding: 12px 16px;
    text-align: center;
    color: var(--_muted);
  }
  .problem {
    padding: 0 8px 8px;
    font-size: 0.8125rem;
    color: var(--_danger);
  }
  .mentions {
    position: absolute;
    inset-block-end: calc(100% - 4px);
    inset-inline: 12px;
    max-inline-size: 360px;
    max-block-size: 260px;
    overflow-y: auto;
    padding: 6px;
    border-radius: 14px;
    background: var(--_raised);
    box-shadow: 0 6px 26px var(--_shadow), 0 0 0 1px var(--_line);
    z-index: 2;
  }
  .mentions [role='option'] {
    display: flex;
    align-items: center;
    gap: 10px;
    padding: 6px 8px;
    border-radius: 9px;
    cursor: pointer;
    --tidings-avatar-size: 30px;
  }
  .mentions [aria-selected='true'] {
    background: var(--_selected);
  }
  .mentions small {
    color: var(--_muted);
  }
  .emoji-box {
    padding: 6px;
  }
`;
