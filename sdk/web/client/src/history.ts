import type { FoundMessage, HistoryPage, Page } from './model.js';
import { ask, type CallOptions } from './requests.js';
import type { Hub } from './shell/hub.js';

export interface HistoryQuery extends CallOptions {
  /** One of the two: the other user of the conversation, or a group that this user is in. */
  with?: string;
  group?: string;
  /** Messages before this place, the newest of them; or after that place, the oldest of them. Neither: the newest. */
  before?: number;
  after?: number;
  /** At most 100; default 50. */
  limit?: number;
}

export interface SearchQuery extends CallOptions {
  /** 1 to 8 words, each the beginning of one in the title or text; at most 256 bytes. */
  text: string;
  /** Only in the conversation with this user, or in this group. */
  with?: string;
  group?: string;
  /** `next` of the page before. */
  page?: Uint8Array | undefined;
  /** At most 100; default 50. */
  limit?: number;
}

/** What the server keeps of conversations. */
export class History {
  constructor(private readonly hub: Hub) {}

  /** A page in the order of places, of at most 256 KiB; `more` says that there are further ones in that direction. */
  page({ signal, ...value }: HistoryQuery): Promise<HistoryPage> {
    return ask(this.hub, { case: 'getHistory', value }, 'history', { signal });
  }

  /** Messages with all words, the newest first. A page may be empty where much had to be looked at; it is over when `next` is undefined. */
  async search({ signal, ...value }: SearchQuery): Promise<Page<FoundMessage, Uint8Array>> {
    const found = await ask(this.hub, { case: 'search', value }, 'found', { signal });
    return { items: found.messages, next: nextOf(found.nextPage) };
  }
}

/** None when it is empty: there are no more. */
export function nextOf<T extends { length: number }>(token: T): T | undefined {
  return token.length > 0 ? token : undefined;
}
