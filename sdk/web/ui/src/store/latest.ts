import type { ConversationKey, MessageView } from '../model.js';
import { type State, withSummary } from './state.js';

/** The newest message of a conversation stands in its summary. */
export function latest(state: State, key: ConversationKey, message: MessageView): State {
  return withSummary(state, key, (summary) =>
    message.at >= summary.lastAt || summary.last?.key === message.key
      ? { ...summary, last: message, lastAt: message.at, archived: summary.archived && summary.mutedUntil > message.at }
      : summary,
  );
}
