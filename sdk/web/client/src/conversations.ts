import { nextOf } from './history.js';
import type { Block, Conversation, Page } from './model.js';
import { ask, type CallOptions } from './requests.js';
import type { Hub } from './shell/hub.js';

/** Sets what is set here, for all devices of the user. */
export interface ConversationChange {
  /** Read up to this place. Senders are not told: `markRead` does that. */
  readPlace?: number;
  markedUnread?: boolean;
  /** Unix ms; 0: not muted. */
  muteUntilMs?: number;
  archived?: boolean;
  favourite?: boolean;
  /** All of them; none unblocks. */
  blocks?: readonly Block[];
  /** Whether the other is among the user's contacts, where the policy lets the user say it. */
  contact?: boolean;
}

export class Conversations {
  constructor(private readonly hub: Hub) {}

  /** With the newest message first; each with its last message, what is unread and its settings. At most 100 (default 50) and 256 KiB a page. */
  async list(
    query: { page?: Uint8Array | undefined; limit?: number } & CallOptions = {},
  ): Promise<Page<Conversation, Uint8Array>> {
    const { signal, ...value } = query;
    const listed = await ask(this.hub, { case: 'listConversations', value }, 'conversations', { signal });
    return { items: listed.conversations, next: nextOf(listed.nextPage) };
  }

  /** Of the conversation with a user (as text, or `with`), or of a group; a group has no blocks and is no contact. Answers it as it then is. */
  update(
    of: string | { with: string } | { group: string },
    change: ConversationChange,
    options?: CallOptions,
  ): Promise<Conversation> {
    const { blocks, ...others } = change;
    const which = typeof of === 'string' ? { with: of } : of;
    const value = { ...others, ...which, ...(blocks && { blocks: { blocks } }) };
    return ask(this.hub, { case: 'updateConversation', value }, 'conversation', options);
  }
}
