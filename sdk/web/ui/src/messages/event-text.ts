import { listOf, say } from '../locale/locale.js';
import type { EventView, MessageView, Names } from '../model.js';

/** What happened in a group, as a sentence. */
export function eventText(event: EventView, me: string, names: Names): string {
  const name = (user: string) => (user === me ? say('view.you') : names(user));
  const users =
    listOf(event.users.slice(0, 5).map(name)) + (event.users.length > 5 ? ` +${event.users.length - 5}` : '');
  const by = event.by ? name(event.by) : '';
  switch (event.kind) {
    case 'created':
      return by ? say('event.created', { by }) : say('event.createdByServer');
    case 'joined':
      return by && !event.users.includes(event.by) ? say('event.added', { by, users }) : say('event.joined', { users });
    case 'left':
      return say('event.left', { users });
    case 'removed':
      return by ? say('event.removed', { by, users }) : say('event.removedByServer', { users });
    case 'changed':
      return say('event.changed', { users });
    case 'settings':
      return say('event.settings');
    case 'deleted':
      return say('event.deleted');
    case 'lost':
      return say('event.lost');
  }
}

/** A message in one line: of a conversation's summary, a quote, a notice. */
export function preview(message: MessageView, me: string, names: Names): string {
  if (message.event) return eventText(message.event, me, names);
  if (message.gone === 'wiped') return say('view.wiped');
  if (message.gone)
    return message.mine ? say('view.recalledByYou') : say('view.recalled', { name: names(message.from) });
  if (message.poll) return `📊 ${message.poll.question}`;
  if (message.location) return `📍 ${message.text || say('view.location')}`;
  const pictures = message.files.filter((file) => file.mediaType.startsWith('image/')).length;
  if (message.files.length > 0) {
    const what =
      pictures === message.files.length
        ? pictures === 1
          ? say('view.photo')
          : `${say('view.photo')} ×${pictures}`
        : message.files.length === 1
          ? (message.files[0]?.name ?? '')
          : say('view.attachment', { count: message.files.length });
    return `${pictures === message.files.length ? '📷' : '📎'} ${message.text || what}`;
  }
  return (message.title ? `${message.title}: ` : '') + message.text.replace(/\s+/gu, ' ');
}
