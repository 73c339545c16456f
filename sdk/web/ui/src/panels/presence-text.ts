import { lastSeen, say } from '../locale/locale.js';
import type { PresenceView } from '../model.js';

/** `online`, `last seen …`, or nothing where it is not known. */
export function presenceText(presence: PresenceView | undefined): string {
  if (!presence || presence.state === 'unknown') return '';
  if (presence.state === 'online') return say('presence.online');
  return presence.lastSeen > 0 ? lastSeen(presence.lastSeen) : say('presence.offline');
}
