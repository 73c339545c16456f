import type { Client } from '@tidings/client';
import { type ConversationKey, type Names, peerOf } from '../model.js';
import type { Happened } from './happened.js';
import type { State } from './state.js';

/** What the parts of the store work with. */
export interface Context {
  readonly client: Client;
  readonly names: Names;
  readonly state: () => State;
  readonly happened: (happened: Happened) => void;
}

/** A conversation as the client names it when something is sent there. */
export function targetOf(key: ConversationKey): { to: string } | { group: string } {
  const peer = peerOf(key);
  return 'user' in peer ? { to: peer.user } : { group: peer.group };
}

/** A conversation as the client names it when its history is asked for. */
export function historyOf(key: ConversationKey): { with: string } | { group: string } {
  const peer = peerOf(key);
  return 'user' in peer ? { with: peer.user } : { group: peer.group };
}
