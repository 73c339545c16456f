import type { ConversationView, GroupView, MessageView } from '../src/index.js';

/** What the gallery shows: a few days of a small sailing club. */
const NOW = Date.now();
const MINUTE = 60_000;
const NAMES: Record<string, string> = { ada: 'Ada', ben: 'Ben', cleo: 'Cleo', noor: 'نور', mira: 'Mira' };
export const names = (user: string): string => NAMES[user] ?? user;

const THUMBNAIL =
  'data:image/svg+xml,%3Csvg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 42"%3E%3Cdefs%3E%3ClinearGradient id="a" x1="0" y1="0" x2="0" y2="1"%3E%3Cstop stop-color="%231f3b73"/%3E%3Cstop offset=".45" stop-color="%23c8577a"/%3E%3Cstop offset="1" stop-color="%23ffd98a"/%3E%3C/linearGradient%3E%3C/defs%3E%3Crect width="64" height="27" fill="url(%23a)"/%3E%3Ccircle cx="38" cy="22" r="4" fill="%23fff1c9"/%3E%3Crect y="26" width="64" height="16" fill="%2333365c"/%3E%3C/svg%3E';

let seq = 0;
export function message(from: string, text: string, ago: number, more: Partial<MessageView> = {}): MessageView {
  seq += 1;
  return {
    key: `1.${seq}`,
    id: `1.${seq}`,
    from,
    mine: from === 'ada',
    at: NOW - ago * MINUTE,
    text,
    status: from === 'ada' ? 'read' : undefined,
    reactions: [],
    files: [],
    mentions: [],
    ...more,
  };
}

const DAY = 24 * 60;
const question = message('ben', 'Who is in for Saturday? Wind from the south-west, four, perhaps five.', DAY + 200);

export const messages: readonly MessageView[] = [
  message('', '', 3 * DAY, { event: { kind: 'created', users: ['ada', 'ben', 'cleo', 'noor'], by: 'ben' } }),
  message('ben', 'Welcome aboard, everybody!', 3 * DAY - 4, {
    reactions: [
      { emoji: '⛵', from: 'ada' },
      { emoji: '⛵', from: 'cleo' },
      { emoji: '🎉', from: 'noor' },
    ],
  }),
  message('ben', 'Dates and lists go here.', 3 * DAY - 5, { pinned: true }),
  question,
  message('ada', 'I am! I can bring the new sail.', DAY + 190, { replyTo: question.id }),
  message('cleo', '@Ada have a look at https://example.com/forecast before you promise anything 😄', DAY + 188, {
    mentions: [{ user: 'ada', start: 0, end: 4 }],
  }),
  message('noor', 'مرحبا! أنا قادمة أيضا', DAY + 160),
  message('ada', '👍', DAY + 159),
  message('cleo', '', 95, {
    files: [
      {
        id: 'f1',
        name: 'sunset.jpg',
        mediaType: 'image/jpeg',
        size: 182_000,
        thumbnail: THUMBNAIL,
        address: THUMBNAIL,
        picture: { width: 640, height: 420 },
      },
    ],
  }),
  message('cleo', 'From yesterday evening. No filter.', 94, {
    reactions: [
      { emoji: '😍', from: 'ada' },
      { emoji: '😍', from: 'ben' },
    ],
  }),
  message('ben', 'Crew list', 60, {
    files: [{ id: 'f2', name: 'crew-2026.pdf', mediaType: 'application/pdf', size: 48_213 }],
  }),
  message('ben', '', 58, { gone: 'recalled' }),
  message('ben', '', 40, {
    poll: {
      question: 'When do we cast off?',
      options: [
        { id: 'a', text: 'At eight' },
        { id: 'b', text: 'At ten, after breakfast' },
      ],
      choices: 1,
      closesAt: 0,
    },
    reactions: [
      { emoji: 'a', from: 'ben' },
      { emoji: 'b', from: 'ada' },
      { emoji: 'b', from: 'cleo' },
    ],
  }),
  message('ada', 'Ten it is, then', 12, { status: 'delivered', editedAt: NOW - 11 * MINUTE }),
  message('ada', 'I bring the coffee', 11, { status: 'sent' }),
  message('ada', 'and the buns', 10, { status: 'sending' }),
  message('ada', 'This one did not go out', 9, { status: 'failed', reason: 'The inbox is full' }),
];

const none = {
  markedUnread: false,
  mutedUntil: 0,
  archived: false,
  favourite: false,
  contact: false,
  blocked: false,
  typing: [],
};

export const conversations: readonly ConversationView[] = [
  {
    ...none,
    key: 'g/sailing',
    peer: { group: 'sailing' },
    name: 'Sailing club',
    last: messages[13],
    lastAt: NOW - 12 * MINUTE,
    unread: 0,
    favourite: true,
  },
  {
    ...none,
    key: 'u/ben',
    peer: { user: 'ben' },
    name: 'Ben',
    last: message('ben', 'See you at the pier', 3),
    lastAt: NOW - 3 * MINUTE,
    unread: 2,
    presence: { state: 'online', lastSeen: 0 },
  },
  {
    ...none,
    key: 'u/cleo',
    peer: { user: 'cleo' },
    name: 'Cleo',
    lastAt: NOW - 30 * MINUTE,
    unread: 0,
    typing: ['cleo'],
    presence: { state: 'online', lastSeen: 0 },
  },
  {
    ...none,
    key: 'u/noor',
    peer: { user: 'noor' },
    name: 'نور',
    last: message('ada', 'شكرا', 2 * DAY),
    lastAt: NOW - 2 * DAY * MINUTE,
    unread: 0,
    presence: { state: 'offline', lastSeen: NOW - 50 * MINUTE },
  },
  {
    ...none,
    key: 'g/news',
    peer: { group: 'news' },
    name: 'Harbour news',
    last: message('mira', 'The crane is out of order', 4 * DAY),
    lastAt: NOW - 4 * DAY * MINUTE,
    unread: 17,
    mentioned: true,
    mutedUntil: NOW + DAY * MINUTE,
  },
  {
    ...none,
    key: 'u/mira',
    peer: { user: 'mira' },
    name: 'Mira',
    lastAt: NOW - 9 * DAY * MINUTE,
    unread: 0,
    draft: 'About the mooring',
  },
  {
    ...none,
    key: 'u/old',
    peer: { user: 'old' },
    name: 'Last year',
    lastAt: NOW - 200 * DAY * MINUTE,
    unread: 0,
    archived: true,
  },
];

export const group: GroupView = {
  id: 'sailing',
  name: 'Sailing club',
  kind: 'normal',
  paused: false,
  count: 4,
  me: { user: 'ada', name: 'Ada', role: 'owner' },
  may: { send: true, list: true, add: true, remove: true, manage: true },
  members: [
    { user: 'ada', name: 'Ada', role: 'owner', presence: { state: 'online', lastSeen: 0 } },
    { user: 'ben', name: 'Ben', role: 'admin', presence: { state: 'online', lastSeen: 0 } },
    { user: 'cleo', name: 'Cleo', role: 'member', presence: { state: 'online', lastSeen: 0 } },
    { user: 'noor', name: 'نور', role: 'member', presence: { state: 'offline', lastSeen: NOW - 50 * MINUTE } },
  ],
};
