import { css } from 'lit';

export const dialogStyles = css`
  dialog {
    inline-size: min(440px, 94vw);
    max-block-size: min(680px, 92dvh);
    padding: 0;
    border: 0;
    border-radius: 22px;
    background: var(--_surface);
    color: var(--_text);
    box-shadow: 0 20px 70px var(--_shadow);
    overflow: hidden;
  }
  dialog[open] {
    display: flex;
    flex-direction: column;
  }
  dialog::backdrop {
    background: rgb(6 18 18 / 45%);
  }
  .head {
    display: flex;
    align-items: center;
    gap: 8px;
    padding: 14px 12px 6px 22px;
    padding-inline: 22px 12px;
  }
  .head h2 {
    flex: 1;
    margin: 0;
    font-size: 1.125rem;
    font-weight: 650;
  }
  .body {
    padding: 6px 22px 22px;
    overflow-y: auto;
  }
  label {
    display: block;
    font-size: 0.8125rem;
    font-weight: 600;
    margin: 14px 2px 6px;
  }
  .check {
    display: flex;
    align-items: center;
    gap: 10px;
    font-size: var(--_size);
    font-weight: 400;
  }
  .check input {
    inline-size: 18px;
    block-size: 18px;
    accent-color: var(--_accent);
  }
  .end {
    display: flex;
    justify-content: flex-end;
    gap: 8px;
    margin-block-start: 18px;
  }
  .problem {
    color: var(--_danger);
    font-size: 0.875rem;
    margin: 10px 2px 0;
  }
  .option {
    margin: 0 0 8px;
  }
  .list {
    list-style: none;
    margin: 0 -10px;
    padding: 0;
    --tidings-avatar-size: 40px;
  }
  .list button {
    display: flex;
    align-items: center;
    gap: 12px;
    inline-size: 100%;
    padding: 7px 10px;
    border-radius: 12px;
    text-align: start;
  }
  .list button:hover {
    background: var(--_hover);
  }
  .rule {
    border: 0;
    border-block-start: 1px solid var(--_line);
    margin: 20px 0 4px;
  }
  .line {
    display: flex;
    gap: 8px;
  }
  .who {
    display: flex;
    align-items: center;
    gap: 14px;
    --tidings-avatar-size: 60px;
    padding-block: 4px 8px;
  }
  .who b {
    display: block;
    font-size: 1.0625rem;
    font-weight: 650;
  }
  .who small {
    color: var(--_muted);
  }
`;
