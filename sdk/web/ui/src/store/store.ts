import { ActivityKind, Block, type Client, ErrorCode, GroupEventKind } from '@tidings/client';
import { reasonText } from '../locale/reason.js';
import { type ConversationKey, type FileView, keyOf, type MessageView, type Names, peerOf } from '../model.js';
import type { ConversationAction } from '../panels/conversation-list.js';
import { type Context, historyOf, targetOf } from './context.js';
import { FilesPart } from './files.js';
import { Finder } from './finder.js';
import { GroupsPart } from './groups.js';
import type { Happened } from './happened.js';
import { KeptUploads } from './kept-uploads.js';
import { Loading } from './loading.js';
import { KeptList, Memory } from './memory.js';
import { OwnCopies } from './own-copies.js';
import { reduce } from './reduce.js';
import { SendingPart } from './sending.js';
import { initial, type State, summaryOf, timelineOf } from './state.js';

const FOREVER = 253_402_300_799_000;
const MOST_WATCHED = 200;
const FADE_MS = 1000;
const HIDDEN_MS = 100;

export interface StoreOptions {
  readonly me: string;
  /** What users are called. Default: their ids. */
  readonly names?: Names;
  /** Where ticks and read places are kept; default `localStorage`. */
  readonly storage?: Pick<Storage, 'getItem' | 'setItem'> | undefined;
  /** Where files are kept while they are uploaded; default: a database of the browser. */
  readonly uploads?: KeptUploads | undefined;
}

/** The observable model of one user's conversations over a client: the state is what {@link reduce} makes of all that happened. */
export class Store {
  readonly names: Names;
  readonly loading: Loading;
  readonly sending: SendingPart;
  readonly groups: GroupsPart;
  readonly files: FilesPart;
  readonly finder: Finder;
  #state: State;
  readonly #followers = new Set<(state: State) => void>();
  readonly #ends: (() => void)[] = [];
  readonly #memory: Memory;
  readonly #list: KeptList;
  readonly #copies: OwnCopies;
  #known = false;
  #told = false;
  #watched = '';
  /** The group of whose receipts the server tells. */
  #receipts = '';
  #refreshing = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(
    readonly client: Client,
    options: StoreOptions,
  ) {
    this.names = options.names ?? ((user) => user);
    this.#state = initial(options.me);
    const storage = 'storage' in options ? options.storage : globalThis.localStorage;
    this.#memory = new Memory(options.me, storage);
    this.#list = new KeptList(options.me, storage);
    const context: Context = {
      client,
      names: this.names,
      state: () => this.#state,
      happened: (happened) => this.happened(happened),
    };
    this.loading = new Loading(context);
    const uploads = 'uploads' in options ? options.uploads : KeptUploads.here(options.me);
    this.sending = new SendingPart(context, (key) => this.loading.newest(key), uploads);
    this.groups = new GroupsPart(context, this.loading);
    this.#copies = new OwnCopies(context, this.loading);
    this.files = new FilesPart(context);
    this.finder = new Finder(context, () => this.#tell());
  }

  get state(): State {
    return this.#state;
  }

  /** Called after changes, once for all of the same frame. */
  subscribe(follower: (state: State) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  happened(happened: Happened): void {
    const before = this.#state;
    this.#state = reduce(before, happened);
    if (this.#state === before) return;
    // A receipt counts as handled when this returns, and is not told again.
    if (before.marks !== this.#state.marks && happened.type === 'status') this.#memory.writeNow(this.#kept());
    else if (happened.type === 'read') this.#keep();
    if (
      before.summaries !== this.#state.summaries ||
      before.groups !== this.#state.groups ||
      before.open !== this.#state.open
    )
      this.#watch();
    if (before.summaries !== this.#state.summaries && this.#state.listed)
      this.#list.write(() => this.#state.summaries.values());
    this.#tell();
  }

  /** Once for all of a frame, however much came; a page that is not seen has no frames. */
  #tell(): void {
    if (this.#told) return;
    this.#told = true;
    const tell = () => {
      if (!this.#told) return;
      this.#told = false;
      for (const follower of this.#followers) follower(this.#state);
    };
    if (globalThis.document?.visibilityState === 'visible') requestAnimationFrame(tell);
    setTimeout(tell, HIDDEN_MS);
  }

  /** Follows the client, and connects it. */
  start(): void {
    const { client } = this;
    const kept = this.#memory.read();
    this.#known = kept.known;
    this.happened({ type: 'marks', marks: kept.marks });
    this.happened({ type: 'restored', summaries: this.#list.read() });
    let listed = false;
    const list = () => {
      listed = true;
      const readTo = (group: string) => this.#memory.read().groups.get(group) ?? (this.#known ? 0 : undefined);
      this.loading.list(readTo).then(
        () => this.#keep(),
        () => {
          listed = false;
        },
      );
      const { open } = this.#state;
      if (open && !timelineOf(this.#state, open).loaded) this.#load(open);
    };
    this.#ends.push(
      client.on('stateChanged', (change) => {
        this.happened({
          type: 'connection',
          change: {
            ...change,
            error: change.state === 'stopped' ? reasonText(change.reason, change.error) : change.error,
          },
        });
        if (change.state === 'connected' && !listed) list();
        if (change.state === 'connected') this.#rewatch();
        if (change.state === 'connected') this.#watchReceipts();
      }),
      client.on('caughtUp', () => {
        this.happened({ type: 'caughtUp' });
        if (!listed) list();
      }),
      client.on('messageReceived', ({ message, echo, transient }) => {
        // Live data of an application is nothing to read.
        if (transient && message.content?.type) return;
        this.happened({ type: 'received', message, echo });
        if (message.group && !this.#state.groups.has(message.group)) this.#refreshSoon(message.group);
        if (message.group) this.#watchReceipts();
      }),
      client.on('groupReceiptReceived', ({ receipt }) => this.happened({ type: 'groupReceipt', receipt })),
      client.on('messageSent', ({ message, key }) =>
        this.happened({ type: 'sent', message, key, pending: key !== undefined }),
      ),
      client.on('statusChanged', (change) => {
        this.happened({ type: 'status', change, reason: reasonText(change.reason, change.error) });
        if (change.status === 'sent') this.#copies.sent(change.id);
        else if (change.upTo) void this.#copies.reached(change.to, change.id);
      }),
      client.on('messageChanged', ({ change }) => this.happened({ type: 'changed', change })),
      client.on('groupEventReceived', ({ event }) => {
        this.happened({ type: 'groupEvent', event });
        const over =
          event.kind === GroupEventKind.DELETED ||
          ((event.kind === GroupEventKind.LEFT || event.kind === GroupEventKind.REMOVED) &&
            event.users.includes(this.#state.me));
        if (!over) this.#refreshSoon(event.group);
        else if (event.group === this.#receipts) this.#receipts = '';
        if (!over) this.#watchReceipts();
      }),
      client.on('conversationUpdated', ({ conversation }) => this.happened({ type: 'conversation', conversation })),
      client.on('presenceChanged', ({ users }) => this.happened({ type: 'presence', users })),
      client.on('activityReceived', ({ activity }) => this.happened({ type: 'activity', activity, now: Date.now() })),
      client.on('continuityLost', () => {
        this.happened({ type: 'lost', now: Date.now() });
        list();
      }),
    );
    const clock = setInterval(() => this.#tick(), FADE_MS);
    this.#ends.push(() => clearInterval(clock));
    globalThis.addEventListener?.('pagehide', this.#save);
    this.#ends.push(() => globalThis.removeEventListener?.('pagehide', this.#save));
    // The browser asks whether to leave when a file is not kept: it was too large, or there is no room.
    const leaving = (event: Event) => {
      if (this.sending.uploads.wouldLose) event.preventDefault();
    };
    globalThis.addEventListener?.('beforeunload', leaving);
    this.#ends.push(() => globalThis.removeEventListener?.('beforeunload', leaving));
    client.connect();
    this.sending.showPending().catch(() => undefined);
    this.sending.uploads.restore().catch(() => undefined);
  }

  /** Ends following; the client is its owner's to close. */
  stop(): void {
    for (const end of this.#ends.splice(0)) end();
    for (const timer of this.#refreshing.values()) clearTimeout(timer);
    this.sending.uploads.stop();
    this.#save();
  }

  readonly #save = (): void => {
    this.#memory.writeNow(this.#kept());
    if (this.#state.listed) this.#list.writeNow(this.#state.summaries.values());
  };

  #tick(): void {
    const now = Date.now();
    this.happened({ type: 'fade', now });
    this.happened({ type: 'disappeared', now });
  }

  /** Has the server tell how far the own messages in the open group have come; asked again as long as it does not know of the group yet. */
  #watchReceipts(): void {
    const { open } = this.#state;
    const group = open?.startsWith('g/') ? open.slice(2) : '';
    if (group === this.#receipts) return;
    const { groups } = this.client;
    if (this.#receipts) groups.unwatchReceipts(this.#receipts).catch(() => undefined);
    this.#receipts = group;
    if (group)
      groups.watchReceipts(group).catch((error: { code?: ErrorCode }) => {
        // A server of before has no receipts of so many.
        if (this.#receipts === group && error.code !== ErrorCode.FAILED_PRECONDITION) this.#receipts = '';
      });
  }

  #kept() {
    const groups = new Map(this.#memory.read().groups);
    for (const [key, summary] of this.#state.summaries)
      if (key.startsWith('g/')) groups.set(key.slice(2), Math.max(summary.readTo, groups.get(key.slice(2)) ?? 0));
    return { marks: this.#state.marks, groups };
  }

  #keep(): void {
    this.#memory.write(() => this.#kept());
  }

  /** Many events of a group are followed by one question. */
  #refreshSoon(group: string): void {
    clearTimeout(this.#refreshing.get(group));
    this.#refreshing.set(
      group,
      setTimeout(() => {
        this.#refreshing.delete(group);
        const shown = this.#state.open === keyOf({ group });
        (shown ? this.groups.refresh(group) : this.loading.group(group)).catch(() => undefined);
      }, 80),
    );
  }

  /** Whoever is in the list or in the open group is watched, the newest first. */
  #watch(): void {
    const { summaries, groups, open, me } = this.#state;
    const users = new Set<string>();
    if (open?.startsWith('u/')) users.add(open.slice(2));
    if (open?.startsWith('g/')) for (const member of groups.get(open.slice(2))?.members ?? []) users.add(member.user);
    for (const { key } of [...summaries.values()].sort((a, b) => b.lastAt - a.lastAt))
      if (key.startsWith('u/')) users.add(key.slice(2));
    users.delete(me);
    const watched = [...users].slice(0, MOST_WATCHED);
    const name = [...watched].sort().join('\n');
    if (name === this.#watched) return;
    this.#watched = name;
    this.client.watchPresence(watched).catch(() => {
      this.#watched = '';
    });
  }

  #rewatch(): void {
    if (this.#watched === '') this.#watch();
  }

  /** Shows a conversation; undefined: none. */
  open(key: ConversationKey | undefined): void {
    this.happened({ type: 'opened', key });
    this.#watchReceipts();
    if (!key) return;
    if (!timelineOf(this.#state, key).loaded) this.#load(key);
    if (key.startsWith('g/')) this.groups.refresh(key.slice(2)).catch(() => undefined);
  }

  #load(key: ConversationKey): void {
    if (this.#state.connection.state !== 'connected') return;
    // There is no history with someone who does not exist, or none at all: nothing to show is not a fault.
    this.loading
      .newest(key)
      .then(() => this.#copies.look(key))
      .catch(() => undefined);
  }

  /** The user has seen this message and all before it. */
  read(key: ConversationKey, message: MessageView): void {
    const summary = summaryOf(this.#state, key);
    const peer = peerOf(key);
    if ('group' in peer) {
      const place = message.place ?? 0;
      if (place <= summary.readTo && summary.unread === 0) return;
      this.happened({ type: 'read', key, place });
      if (place > 0) this.client.markRead({ group: peer.group, groupSeq: place }).catch(() => undefined);
      if (summary.markedUnread)
        this.client.conversations.update({ group: peer.group }, { markedUnread: false }).catch(() => undefined);
      return;
    }
    const { unread, markedUnread } = summary;
    this.happened({ type: 'read', key, place: undefined });
    if (!/^\d+\.\d+$/.test(message.id)) return;
    if (unread > 0 || markedUnread || message.place === undefined)
      this.client.markRead({ with: peer.user, id: message.id }).catch(() => undefined);
    // The server counts what is unread by places: of what came live it is not known, and `markRead` says it as well.
    const change = {
      ...(message.place !== undefined && unread > 0 && { readPlace: message.place }),
      ...(markedUnread && { markedUnread: false }),
    };
    if (Object.keys(change).length > 0) this.client.conversations.update(peer.user, change).catch(() => undefined);
  }

  typing(key: ConversationKey, typing: boolean): void {
    if (this.#state.connection.state === 'connected')
      this.client.activity({ ...targetOf(key), kind: typing ? ActivityKind.TYPING : ActivityKind.IDLE });
  }

  /** Settings of a conversation; a group has no blocks. */
  async act(key: ConversationKey, action: ConversationAction): Promise<void> {
    const changes: Record<ConversationAction, Parameters<Client['conversations']['update']>[1]> = {
      mute: { muteUntilMs: FOREVER },
      unmute: { muteUntilMs: 0 },
      archive: { archived: true },
      unarchive: { archived: false },
      favourite: { favourite: true },
      unfavourite: { favourite: false },
      addContact: { contact: true },
      removeContact: { contact: false },
      block: { blocks: [Block.MESSAGES, Block.CALLS, Block.GROUP_MESSAGES, Block.PROFILE] },
      unblock: { blocks: [] },
      markUnread: { markedUnread: true },
      markRead: { markedUnread: false },
    };
    const last =
      timelineOf(this.#state, key).messages.findLast((message) => !message.mine) ?? summaryOf(this.#state, key).last;
    if (action === 'markRead' && last && !last.mine) this.read(key, last);
    const conversation = await this.client.conversations.update(historyOf(key), changes[action]);
    this.happened({ type: 'conversation', conversation });
  }

  /** Shows a message that was found, wherever it stands in the history. */
  async showMessage(key: ConversationKey, message: MessageView): Promise<void> {
    this.open(key);
    const known = timelineOf(this.#state, key).messages.some((other) => other.id === message.id);
    if (!known && message.place !== undefined) await this.loading.around(key, message.place);
  }

  async loadNewest(key: ConversationKey): Promise<void> {
    await this.loading.newest(key);
  }

  showFile(key: ConversationKey, message: MessageView, file: FileView): void {
    void this.files.show(key, message, file);
  }
}
