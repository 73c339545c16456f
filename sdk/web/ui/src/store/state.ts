import type { ConnectionState } from '@tidings/client';
import type { ConversationKey, GroupView, MessageView, PresenceView } from '../model.js';
import { EMPTY, type Timeline } from './timeline.js';

/** What the list shows of a conversation. */
export interface Summary {
  readonly key: ConversationKey;
  readonly last?: MessageView | undefined;
  readonly lastAt: number;
  readonly unread: number;
  readonly mentioned: boolean;
  readonly markedUnread: boolean;
  readonly mutedUntil: number;
  readonly archived: boolean;
  readonly favourite: boolean;
  readonly contact: boolean;
  readonly blocked: boolean;
  /** Of a group: its messages were counted up to this place of its order, and read up to that one. */
  readonly countedTo: number;
  readonly readTo: number;
  /** What the server last said of the conversation counts messages up to this time. */
  readonly listedTo: number;
  /** Of a group: what it is called. */
  readonly name?: string | undefined;
  /** As this device saw it last; the server has not told of it yet. */
  readonly restored?: boolean | undefined;
}

export interface Connection {
  readonly state: ConnectionState;
  readonly reason: string;
  readonly retryAt: number;
  /** What waited has been delivered. */
  readonly caughtUp: boolean;
}

/** How far the messages of one stream to one user have come. */
export interface Mark {
  readonly delivered: number;
  readonly read: number;
}

/** How far the own messages in a group have come: by places of its order. */
export interface GroupMark {
  readonly delivered: number;
  readonly read: number;
  /** Of newer ones, those of which the server told singly. */
  readonly single: ReadonlyMap<number, 'delivered' | 'read'>;
}

export interface State {
  readonly me: string;
  readonly connection: Connection;
  readonly summaries: ReadonlyMap<ConversationKey, Summary>;
  readonly timelines: ReadonlyMap<ConversationKey, Timeline>;
  readonly groups: ReadonlyMap<string, GroupView>;
  readonly presence: ReadonlyMap<string, PresenceView>;
  /** Who writes in a conversation, and until when that is shown. */
  readonly typing: ReadonlyMap<ConversationKey, ReadonlyMap<string, number>>;
  /** By user and stream. */
  readonly marks: ReadonlyMap<string, Mark>;
  readonly groupMarks: ReadonlyMap<string, GroupMark>;
  readonly drafts: ReadonlyMap<ConversationKey, string>;
  /** The conversation that is open. */
  readonly open: ConversationKey | undefined;
  readonly listed: boolean;
}

export function initial(me: string): State {
  return {
    me,
    connection: { state: 'idle', reason: '', retryAt: 0, caughtUp: false },
    summaries: new Map(),
    timelines: new Map(),
    groups: new Map(),
    presence: new Map(),
    typing: new Map(),
    marks: new Map(),
    groupMarks: new Map(),
    drafts: new Map(),
    open: undefined,
    listed: false,
  };
}

export function blank(key: ConversationKey): Summary {
  return {
    key,
    lastAt: 0,
    unread: 0,
    mentioned: false,
    markedUnread: false,
    mutedUntil: 0,
    archived: false,
    favourite: false,
    contact: false,
    blocked: false,
    countedTo: 0,
    readTo: 0,
    listedTo: 0,
  };
}

export function put<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  return map.get(key) === value ? map : new Map(map).set(key, value);
}

export function without<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  if (!map.has(key)) return map;
  const copy = new Map(map);
  copy.delete(key);
  return copy;
}

export function timelineOf(state: State, key: ConversationKey): Timeline {
  return state.timelines.get(key) ?? EMPTY;
}

export function summaryOf(state: State, key: ConversationKey): Summary {
  return state.summaries.get(key) ?? blank(key);
}

export function withTimeline(state: State, key: ConversationKey, to: (timeline: Timeline) => Timeline): State {
  const timelines = put(state.timelines, key, to(timelineOf(state, key)));
  return timelines === state.timelines ? state : { ...state, timelines };
}

export function withSummary(state: State, key: ConversationKey, to: (summary: Summary) => Summary): State {
  const summaries = put(state.summaries, key, to(summaryOf(state, key)));
  return summaries === state.summaries ? state : { ...state, summaries };
}

export const markKey = (user: string, stream: string): string => `${user} ${stream}`;
