import { type Attachment, ChangeKind, type ContentInit, type Message, type Sending } from '@tidings/client';
import type { Draft } from '../composer/composer.js';
import { errorText } from '../locale/reason.js';
import type { ConversationKey, MentionView, MessageView } from '../model.js';
import { byteOfIndex } from '../text/utf8.js';
import { type Context, targetOf } from './context.js';
import type { KeptUploads } from './kept-uploads.js';
import { timelineOf } from './state.js';
import { UploadingPart, type What } from './uploading.js';

function contentInit(what: What, attachments: readonly Attachment[]): ContentInit {
  return {
    text: what.text,
    replyTo: what.replyTo,
    mentions: what.mentions.map(({ user, start, end }) => ({
      user,
      start: byteOfIndex(what.text, start),
      length: byteOfIndex(what.text, end) - byteOfIndex(what.text, start),
    })),
    attachments,
  };
}

function attachmentsOf(message: MessageView): Attachment[] {
  return message.files.flatMap((file) => (file.source ? [file.source as Attachment] : []));
}

/** What the user writes and changes: shown at once, and taken back when the server will not have it. */
export class SendingPart {
  readonly uploads: UploadingPart;

  constructor(
    private readonly context: Context,
    private readonly newest: (key: ConversationKey) => Promise<void>,
    kept: KeptUploads | undefined,
  ) {
    this.uploads = new UploadingPart(context, kept, (to, what, files, key) => this.#hand(to, what, files, key));
  }

  async send(key: ConversationKey, draft: Draft): Promise<void> {
    if (!timelineOf(this.context.state(), key).atNewest) await this.newest(key);
    const what: What = { text: draft.text, mentions: draft.mentions, replyTo: draft.replyTo?.id };
    if (draft.files.length === 0) this.#hand(key, what, []);
    else await this.uploads.begin(key, what, draft.files);
  }

  /** The same to somebody else, without what it answered and whom it named; a poll is not forwarded. */
  async forward(to: ConversationKey, message: MessageView): Promise<void> {
    if (!timelineOf(this.context.state(), to).atNewest) await this.newest(to);
    const { text, title, location } = message;
    const content: ContentInit = {
      ...{ text, title, forwarded: true, attachments: attachmentsOf(message) },
      location: location && {
        latitudeE7: Math.round(location.latitude * 1e7),
        longitudeE7: Math.round(location.longitude * 1e7),
      },
    };
    this.context.client.send({ ...targetOf(to), content });
  }

  /** Asks a question; each may choose so many of the options. */
  async poll(to: ConversationKey, question: string, options: readonly string[], choices: number): Promise<void> {
    if (!timelineOf(this.context.state(), to).atNewest) await this.newest(to);
    const poll = { question, choices, options: options.map((text, index) => ({ id: `option ${index + 1}`, text })) };
    this.context.client.send({ ...targetOf(to), content: { poll } });
  }

  /** A message that failed is sent anew, as another message. */
  async retry(key: ConversationKey, message: MessageView): Promise<void> {
    if (this.uploads.has(message.key)) return this.uploads.again(message.key);
    this.context.happened({ type: 'removed', key, message: message.key });
    const what: What = { text: message.text, mentions: message.mentions, replyTo: message.replyTo };
    this.#hand(key, what, attachmentsOf(message));
  }

  /** Gives the message to the client, whose outbox keeps it from here on. */
  #hand(to: ConversationKey, what: What, attachments: readonly Attachment[], key?: string): Sending {
    return this.context.client.send({ ...targetOf(to), content: contentInit(what, attachments), key });
  }

  edit(key: ConversationKey, message: MessageView, text: string, mentions: readonly MentionView[]): void {
    const attachments = attachmentsOf(message);
    const content = contentInit({ text, mentions, replyTo: message.replyTo }, attachments);
    this.#change(
      key,
      message,
      { kind: ChangeKind.EDIT },
      () => this.context.client.edit(targetOf(key), message.id, content).sent,
      { text, mentions, editedAt: Date.now() },
    );
  }

  recall(key: ConversationKey, message: MessageView): void {
    this.#change(
      key,
      message,
      { kind: ChangeKind.RECALL },
      () => this.context.client.recall(targetOf(key), message.id).sent,
    );
  }

  react(key: ConversationKey, message: MessageView, emoji: string, off: boolean): void {
    this.#change(
      key,
      message,
      { kind: ChangeKind.REACT, emoji, off },
      () => this.context.client.react(targetOf(key), message.id, emoji, { off }).sent,
    );
  }

  pin(key: ConversationKey, message: MessageView): void {
    const off = message.pinned === true;
    this.#change(
      key,
      message,
      { kind: ChangeKind.PIN, off },
      () => this.context.client.pin(targetOf(key), message.id, { off }).sent,
    );
  }

  #change(
    key: ConversationKey,
    message: MessageView,
    change: { kind: ChangeKind; emoji?: string; off?: boolean },
    does: () => Promise<unknown>,
    edited?: Partial<MessageView>,
  ): void {
    const { happened } = this.context;
    happened({ type: 'changedHere', key, message: message.id, change, edited });
    does().catch((error: unknown) => happened({ type: 'undone', key, message, change, reason: errorText(error) }));
  }

  /** Own messages that waited from before a reload. */
  async showPending(): Promise<void> {
    for (const { key, id, message } of await this.context.client.pending()) {
      if (message)
        this.context.happened({
          type: 'sent',
          message: { ...message, id: id || message.id } as Message,
          key,
          pending: true,
        });
    }
  }
}
