import { TidingsError } from '@tidings/client';
import { type ConversationKey, keyOf } from '../model.js';
import { type Context, historyOf } from './context.js';
import { timelineOf } from './state.js';
import { newestPlace, oldestPlace } from './timeline.js';

const PAGE = 60;
/** So many groups are asked for their newest message when the list is made; the others when they are opened. */
const GROUPS_ASKED = 100;

/** Brings what the server keeps into the state: the list, and pages of conversations. */
export class Loading {
  readonly #under = new Set<ConversationKey>();

  constructor(private readonly context: Context) {}

  /** Conversations and groups, all of them. */
  async list(readTo: (group: string) => number | undefined): Promise<void> {
    await this.#conversations();
    await this.#groups(readTo);
    this.context.happened({ type: 'listed' });
  }

  async #conversations(): Promise<void> {
    let page: Uint8Array | undefined;
    do {
      const { items, next } = await this.context.client.conversations.list({ page, limit: 100 });
      this.context.happened({ type: 'conversations', conversations: items });
      page = next;
    } while (page);
  }

  async #groups(readTo: (group: string) => number | undefined): Promise<void> {
    const { client, happened, names } = this.context;
    const ids: string[] = [];
    let page: string | undefined;
    do {
      const { items, next } = await client.groups.list({ page });
      for (const state of items) {
        if (!state.group) continue;
        happened({ type: 'group', state, names });
        ids.push(state.group.id);
      }
      page = next;
    } while (page);
    // A server that lists groups among the conversations has said all of it.
    const told = (group: string) => (this.context.state().summaries.get(keyOf({ group }))?.countedTo ?? 0) > 0;
    for (const group of ids.filter((group) => !told(group)).slice(0, GROUPS_ASKED))
      await this.groupNewest(group, readTo(group)).catch(() => undefined);
  }

  async groupNewest(group: string, readTo: number | undefined): Promise<void> {
    const { messages } = await this.context.client.history.page({ group, limit: 50 });
    this.context.happened({ type: 'groupNewest', group, messages, readTo });
  }

  /** One group, as it is now. It is gone from here when the server says that this user is not in it. */
  async group(group: string): Promise<void> {
    const { client, happened, names } = this.context;
    happened({ type: 'group', state: await client.groups.get(group), names });
  }

  async members(group: string, page?: string): Promise<string | undefined> {
    const { client, happened, names } = this.context;
    const { items, next } = await client.groups.members(group, { page, limit: 100 });
    happened({ type: 'members', group, members: items, first: page === undefined, names });
    return next;
  }

  newest(key: ConversationKey): Promise<void> {
    return this.#page(key, 'newest', {});
  }

  older(key: ConversationKey): Promise<void> {
    const timeline = timelineOf(this.context.state(), key);
    const before = oldestPlace(timeline);
    if (timeline.atOldest) return Promise.resolve();
    return before === undefined ? this.newest(key) : this.#page(key, 'older', { before });
  }

  newer(key: ConversationKey): Promise<void> {
    const timeline = timelineOf(this.context.state(), key);
    const after = newestPlace(timeline);
    if (timeline.atNewest || after === undefined) return Promise.resolve();
    return this.#page(key, 'newer', { after });
  }

  /** A window around a place, which may be far from what is there. */
  async around(key: ConversationKey, place: number): Promise<void> {
    await this.#page(key, 'around', { before: place + 1 });
    await this.newer(key);
  }

  async #page(
    key: ConversationKey,
    direction: 'newest' | 'older' | 'newer' | 'around',
    where: { before?: number; after?: number },
  ): Promise<void> {
    if (this.#under.has(key)) return;
    this.#under.add(key);
    const { client, happened } = this.context;
    happened({ type: 'loading', key, loading: true });
    try {
      const { messages, more } = await client.history.page({ ...historyOf(key), ...where, limit: PAGE });
      happened({ type: 'page', key, messages, more, direction });
    } catch (error) {
      // There is no history with someone who does not exist, or where none is kept: that is all of it.
      const none = error instanceof TidingsError && error.kind === 'refused' && direction === 'newest';
      if (none) happened({ type: 'page', key, messages: [], more: false, direction });
      throw error;
    } finally {
      this.#under.delete(key);
      happened({ type: 'loading', key, loading: false });
    }
  }
}
