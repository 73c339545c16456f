import { type ConversationKey, keyOf } from '../model.js';
import type { Context } from './context.js';
import type { Loading } from './loading.js';
import { timelineOf } from './state.js';

/** Messages of this page that are remembered. */
const MOST = 1000;

/**
 * The sender's copy of a message comes to the history a little after it is `sent` (decision 0018). A page that begins in between has it neither from the
 * outbox nor from the history; but the copy is there before the receipt. So a receipt for a message that is not shown is a reason to look again.
 */
export class OwnCopies {
  readonly #sentHere = new Set<string>();
  /** Messages that others have and that are to be looked for. */
  readonly #due = new Map<ConversationKey, string>();

  constructor(
    private readonly context: Context,
    private readonly loading: Pick<Loading, 'newest'>,
  ) {}

  /** This page sent it itself; it may also be a change, which is nowhere shown as a message. */
  sent(id: string): void {
    this.#sentHere.add(id);
    const [oldest] = this.#sentHere;
    if (this.#sentHere.size > MOST && oldest !== undefined) this.#sentHere.delete(oldest);
  }

  /** The user has everything up to this message. */
  async reached(user: string, id: string): Promise<void> {
    if (this.#sentHere.has(id)) return;
    this.#due.set(keyOf({ user }), id);
    await this.look(keyOf({ user }));
  }

  /** A page of the conversation is there: looks for what it does not have. */
  async look(key: ConversationKey): Promise<void> {
    const id = this.#due.get(key);
    const { loaded, loading, atNewest, messages } = timelineOf(this.context.state(), key);
    if (id === undefined || !loaded || loading || !atNewest) return;
    this.#due.delete(key);
    if (!messages.some((message) => message.id === id)) await this.loading.newest(key).catch(() => undefined);
  }
}
