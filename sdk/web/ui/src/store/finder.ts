import { errorText } from '../locale/reason.js';
import type { ConversationKey, MessageView } from '../model.js';
import { type Context, historyOf } from './context.js';
import { messageOf, toldKey } from './from-client.js';

export interface Results {
  readonly text: string;
  readonly found: readonly { readonly conversation: ConversationKey; readonly message: MessageView }[];
  readonly working: boolean;
  readonly hasMore: boolean;
  readonly problem: string;
}

export const NO_RESULTS: Results = { text: '', found: [], working: false, hasMore: false, problem: '' };

/** So many empty pages are looked through by themselves: where much had to be looked at, the server answers in parts. */
const PAGES = 8;

/** Searches on the server. A newer question ends an older one. */
export class Finder {
  results: Results = NO_RESULTS;
  #page: Uint8Array | undefined;
  #question = 0;
  #where: { with?: string; group?: string } = {};

  constructor(
    private readonly context: Context,
    private readonly changed: () => void,
  ) {}

  /** `within` is one conversation; without it, all of them. */
  async find(text: string, within?: ConversationKey): Promise<void> {
    this.#question += 1;
    this.#page = undefined;
    this.#where = within === undefined ? {} : historyOf(within);
    if (text === '') {
      this.#set(NO_RESULTS);
      return;
    }
    this.#set({ ...NO_RESULTS, text, working: true });
    await this.#more(this.#question, text);
  }

  async more(): Promise<void> {
    const { text, hasMore, working } = this.results;
    if (!hasMore || working) return;
    this.#set({ ...this.results, working: true });
    await this.#more(this.#question, text);
  }

  async #more(question: number, text: string): Promise<void> {
    try {
      for (let pages = 0; pages < PAGES; pages += 1) {
        const { items, next } = await this.context.client.search({
          text,
          limit: 30,
          page: this.#page,
          ...this.#where,
        });
        if (question !== this.#question) return;
        this.#page = next;
        const { me } = this.context.state();
        const found = items.flatMap(({ place, message, ...where }) =>
          message ? [{ conversation: toldKey(where), message: messageOf(message, me, place) }] : [],
        );
        this.#set({ ...this.results, found: [...this.results.found, ...found], hasMore: next !== undefined });
        if (found.length > 0 || next === undefined) break;
      }
      this.#set({ ...this.results, working: false });
    } catch (error) {
      if (question === this.#question)
        this.#set({ ...this.results, working: false, hasMore: false, problem: errorText(error) });
    }
  }

  #set(results: Results): void {
    this.results = results;
    this.changed();
  }
}
