import { css } from 'lit';

export const appStyles = css`
  :host {
    display: block;
    block-size: 100dvh;
    background: var(--_surface);
  }
  .app {
    display: grid;
    grid-template-columns: minmax(300px, 372px) minmax(0, 1fr);
    block-size: 100%;
  }
  .app.about {
    grid-template-columns: minmax(300px, 372px) minmax(0, 1fr) 340px;
  }
  .side,
  .about-pane {
    display: flex;
    flex-direction: column;
    min-block-size: 0;
    min-inline-size: 0;
    background: var(--_surface);
  }
  .side {
    border-inline-end: 1px solid var(--_line);
  }
  .about-pane {
    border-inline-start: 1px solid var(--_line);
  }
  .bar {
    display: flex;
    align-items: center;
    gap: 4px;
    min-block-size: 64px;
    padding: 6px 12px 2px 16px;
    padding-inline: 16px 12px;
    --tidings-avatar-size: 38px;
  }
  .bar h1,
  .bar h2 {
    flex: 1;
    margin: 0 0 0 10px;
    margin-inline: 10px 0;
    font-size: 1.25rem;
    font-weight: 700;
    letter-spacing: -0.01em;
  }
  .bar h2 {
    font-size: 1.0625rem;
    font-weight: 650;
    margin-inline: 4px 0;
  }
  .me {
    border-radius: 50%;
  }
  tidings-conversation-list,
  tidings-profile,
  tidings-group-panel {
    flex: 1;
  }
  tidings-search.full {
    flex: 1;
  }
  .chat {
    min-inline-size: 0;
    min-block-size: 0;
  }
  .nothing {
    display: grid;
    place-items: center;
    block-size: 100%;
    text-align: center;
    background: var(--_chat);
    color: var(--_muted);
    background-image: radial-gradient(120% 80% at 0% 0%, color-mix(in srgb, var(--_accent) 7%, transparent), transparent 60%);
  }
  .nothing div {
    display: grid;
    justify-items: center;
    gap: 8px;
    max-inline-size: 320px;
    padding: 24px;
  }
  .nothing img {
    inline-size: 92px;
    opacity: 0.92;
    margin-block-end: 10px;
  }
  .nothing b {
    color: var(--_text);
    font-size: 1.125rem;
    font-weight: 650;
  }
  .toast {
    position: fixed;
    inset-block-end: 24px;
    inset-inline: 0;
    inline-size: fit-content;
    max-inline-size: 90vw;
    margin: auto auto 0;
    padding: 10px 18px;
    border: 0;
    border-radius: 14px;
    background: light-dark(#1c2927, #e8efee);
    color: light-dark(#ffffff, #14201e);
    box-shadow: 0 8px 30px var(--_shadow);
  }
  @media (max-width: 1120px) {
    .app.about {
      grid-template-columns: minmax(280px, 340px) minmax(0, 1fr);
    }
    .about .about-pane {
      position: fixed;
      inset-block: 0;
      inset-inline-end: 0;
      inline-size: min(380px, 100vw);
      z-index: 4;
      box-shadow: 0 0 40px var(--_shadow);
    }
  }
  @media (max-width: 760px) {
    .app,
    .app.about {
      grid-template-columns: minmax(0, 1fr);
    }
    .app.open .side,
    .app:not(.open) .chat {
      display: none;
    }
    .about .about-pane {
      inline-size: 100vw;
    }
    .side {
      border: 0;
    }
  }
`;
