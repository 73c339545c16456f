import { setLanguage, type TidingsElement } from '../src/index.js';
import { conversations, group, message, messages, names } from './sample.js';

interface Shown {
  readonly tag: string;
  readonly frame: string;
  readonly properties: Record<string, unknown>;
  readonly attributes: readonly [string, string][];
  readonly events: readonly [string, string][];
  readonly slots: readonly [string, string][];
}

const ben = conversations.find((conversation) => conversation.key === 'u/ben');

const elements: readonly Shown[] = [
  {
    tag: 'tidings-conversation-list',
    frame: 'frame tall narrow',
    properties: { conversations, names, me: 'ada', selected: 'g/sailing' },
    attributes: [
      ['conversations', 'property: ConversationView[]'],
      ['selected', 'key of the open one'],
      ['filter', 'only names that have it'],
      ['loading', 'shows that the list is coming'],
    ],
    events: [
      ['tidings-open', '{ key }'],
      ['tidings-conversation-action', '{ key, action }'],
    ],
    slots: [
      ['(default)', 'below the list'],
      ['empty', 'when there is none'],
    ],
  },
  {
    tag: 'tidings-message-view',
    frame: 'frame tall',
    properties: { conversation: 'g/sailing', label: 'Sailing club', messages, names, me: 'ada', group: true },
    attributes: [
      ['messages', 'property: MessageView[], in order'],
      ['conversation', 'its key; another one begins anew'],
      ['group', 'with names and faces'],
      ['has-older / has-newer', 'more can be asked for'],
      ['first-unread', 'key of the first new one'],
      ['read-only', 'no answers, no reactions'],
    ],
    events: [
      ['tidings-load-older / -newer / -newest', 'pages are wanted'],
      ['tidings-read', '{ message }: seen up to here'],
      ['tidings-react', '{ message, emoji, off }'],
      ['tidings-message-action', '{ message, action }'],
      ['tidings-open-file', '{ message, file }'],
      ['tidings-show-file', '{ message, file }: an address is wanted'],
      ['tidings-retry', '{ message }'],
      ['tidings-find-message', '{ id }'],
    ],
    slots: [['empty', 'when there are none']],
  },
  {
    tag: 'tidings-composer',
    frame: 'frame',
    properties: {
      conversation: 'g/sailing',
      members: group.members,
      names,
      me: 'ada',
      files: true,
      replyTo: message('cleo', 'Who brings the rope?', 3),
    },
    attributes: [
      ['value', 'the text'],
      ['members', 'property: who can be mentioned'],
      ['replyTo, editing', 'properties: MessageView'],
      ['files', 'files can be attached'],
      ['max-bytes', 'default 60000'],
      ['note', 'why nobody writes here'],
    ],
    events: [
      ['tidings-send', '{ text, files, mentions, replyTo }'],
      ['tidings-edit', '{ message, text, mentions }'],
      ['tidings-typing', '{ typing }'],
      ['tidings-draft', '{ text }'],
      ['tidings-edit-last', 'arrow up in an empty field'],
      ['tidings-cancel-edit / -reply', ''],
    ],
    slots: [],
  },
  {
    tag: 'tidings-search',
    frame: 'frame tall narrow',
    properties: {
      text: 'sa',
      conversations,
      names,
      me: 'ada',
      found: [
        { conversation: 'g/sailing', name: 'Sailing club', message: messages[3] },
        { conversation: 'u/ben', name: 'Ben', message: message('ada', 'The sail is repaired', 5000) },
      ],
    },
    attributes: [
      ['text', 'what is searched'],
      ['conversations', 'property: found by name'],
      ['found', 'property: FoundView[]'],
      ['has-more', 'there are further ones'],
      ['working', ''],
      ['problem', ''],
    ],
    events: [
      ['tidings-search', '{ text }, a moment after the last key'],
      ['tidings-search-text', '{ text }, at once'],
      ['tidings-search-more', ''],
      ['tidings-open', '{ key }'],
      ['tidings-open-message', '{ key, message }'],
    ],
    slots: [],
  },
  {
    tag: 'tidings-profile',
    frame: 'frame tall narrow',
    properties: { conversation: ben, messages },
    attributes: [
      ['conversation', 'property: ConversationView'],
      ['messages', 'property: their pictures are shown'],
    ],
    events: [
      ['tidings-conversation-action', '{ key, action }'],
      ['tidings-open-file', '{ message, file }'],
    ],
    slots: [
      ['actions', 'below the name'],
      ['(default)', 'at the end'],
    ],
  },
  {
    tag: 'tidings-group-panel',
    frame: 'frame tall narrow',
    properties: { group, conversation: conversations[0], messages },
    attributes: [
      ['group', 'property: GroupView'],
      ['problem', 'why the last action failed'],
      ['has-more', 'further members'],
    ],
    events: [
      ['tidings-group-action', '{ group, act, … }'],
      ['tidings-open-profile', '{ user }'],
      ['tidings-open-file', '{ message, file }'],
    ],
    slots: [
      ['actions', 'below the name'],
      ['(default)', 'at the end'],
    ],
  },
  {
    tag: 'tidings-status',
    frame: 'frame',
    properties: { state: 'waiting', retryAt: Date.now() + 8000 },
    attributes: [
      ['state', 'idle, connecting, connected, waiting, stopped'],
      ['reason', 'of stopped'],
      ['retry-at', 'Unix ms'],
      ['catching-up', ''],
    ],
    events: [['tidings-sign-in-again', '']],
    slots: [],
  },
];

const log = document.querySelector<HTMLTextAreaElement>('#log')!;

function told(event: Event): void {
  const detail = JSON.stringify((event as CustomEvent).detail ?? null).slice(0, 160);
  log.value = `${event.type} ${detail}\n${log.value}`.slice(0, 6000);
}

function table(shown: Shown): HTMLElement {
  const made = document.createElement('table');
  for (const [name, words] of [
    ...shown.attributes,
    ...shown.events,
    ...shown.slots.map(([slot, what]): [string, string] => [`slot ${slot}`, what]),
  ]) {
    const row = made.insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = words;
  }
  return made;
}

for (const shown of elements) {
  const section = document.createElement('section');
  const title = document.createElement('h2');
  title.textContent = `<${shown.tag}>`;
  const stage = document.createElement('div');
  stage.className = 'stage';
  const frame = document.createElement('div');
  frame.className = shown.frame;
  const element = Object.assign(document.createElement(shown.tag) as TidingsElement, shown.properties);
  for (const [names] of shown.events)
    for (const name of names.split(' / '))
      element.addEventListener(name.startsWith('-') ? `tidings-load${name}` : name, told);
  frame.append(element);
  stage.append(frame, table(shown));
  section.append(title, stage);
  document.querySelector('#elements')!.append(section);
}

const root = document.documentElement;
function chosen(id: string, then: (value: string) => void): void {
  const control = document.querySelector<HTMLInputElement | HTMLSelectElement>(`#${id}`)!;
  control.addEventListener('input', () => then(control.value));
}
chosen('theme', (value) => root.style.setProperty('color-scheme', value));
chosen('direction', (value) => {
  root.dir = value;
});
chosen('language', (value) => {
  root.lang = value;
  setLanguage(value);
});
chosen('accent', (value) => root.style.setProperty('--tidings-accent', value));
