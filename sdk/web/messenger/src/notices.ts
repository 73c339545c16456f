import { type Names, preview, type State } from '@tidings/ui';
import { notifies } from './preferences.js';

/** Notices of the system for what comes while the page is not looked at. */
export class Notices {
  #unread = new Map<string, number>();
  #begun = false;

  constructor(private readonly open: (key: string) => void) {}

  told(state: State, names: Names): void {
    if (!state.listed) return;
    for (const [key, summary] of state.summaries) {
      const before = this.#unread.get(key) ?? 0;
      this.#unread.set(key, summary.unread);
      const news =
        this.#begun &&
        summary.unread > before &&
        summary.last &&
        !summary.last.mine &&
        summary.mutedUntil <= Date.now();
      if (news && document.visibilityState === 'hidden' && notifies() && summary.last)
        this.#show(key, names(summary.last.from), preview(summary.last, state.me, names));
    }
    this.#begun = true;
  }

  #show(key: string, title: string, body: string): void {
    const notice = new Notification(title, { body, tag: key, icon: '/icon-192.png' });
    notice.onclick = () => {
      window.focus();
      this.open(key);
      notice.close();
    };
  }
}
