import { type Attachment, ChangeKind, type ContentInit, type Message } from '@tidings/client';
import type { Draft } from '../composer/composer.js';
import { errorText } from '../locale/reason.js';
import type { ConversationKey, FileView, MentionView, MessageView } from '../model.js';
import { byteOfIndex } from '../text/utf8.js';
import { type Context, targetOf } from './context.js';
import { timelineOf } from './state.js';

type What = Pick<Draft, 'text' | 'mentions'> & {
  readonly replyTo?: string | undefined;
  readonly files?: readonly File[];
};

interface Composed {
  readonly what: What;
  /** What of the files is on the server already: a second try goes on from here. */
  readonly uploaded: Map<number, Attachment>;
}

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
  /** Messages that were composed here and are not with the client yet. */
  readonly #composed = new Map<string, Composed>();
  #next = 1;

  constructor(
    private readonly context: Context,
    private readonly newest: (key: ConversationKey) => Promise<void>,
  ) {}

  async send(key: ConversationKey, draft: Draft): Promise<void> {
    if (!timelineOf(this.context.state(), key).atNewest) await this.newest(key);
    const what: What = { text: draft.text, mentions: draft.mentions, replyTo: draft.replyTo?.id, files: draft.files };
    if (draft.files.length === 0) {
      this.#hand(key, what, []);
      return;
    }
    const local = `local ${Date.now()} ${this.#next++}`;
    this.#composed.set(local, { what, uploaded: new Map() });
    this.context.happened({ type: 'composed', key, message: this.#local(local, what) });
    await this.#upload(key, local);
  }

  /** A message that failed is sent anew, as another message. */
  async retry(key: ConversationKey, message: MessageView): Promise<void> {
    if (this.#composed.has(message.key)) return this.#upload(key, message.key);
    this.context.happened({ type: 'removed', key, message: message.key });
    const what: What = { text: message.text, mentions: message.mentions, replyTo: message.replyTo };
    this.#hand(key, what, attachmentsOf(message));
  }

  /** Gives the message to the client, whose outbox keeps it from here on. */
  #hand(key: ConversationKey, what: What, attachments: readonly Attachment[]): string {
    return this.context.client.send({ ...targetOf(key), content: contentInit(what, attachments) }).key;
  }

  #local(key: string, what: What): MessageView {
    const files = (what.files ?? []).map((file, index): FileView => {
      const address = /^image\/(png|jpeg|gif|webp|avif|bmp)$/.test(file.type) ? URL.createObjectURL(file) : undefined;
      return {
        id: `${key} ${index}`,
        name: file.name,
        mediaType: file.type || 'application/octet-stream',
        size: file.size,
        address,
        progress: 0,
      };
    });
    return {
      key,
      id: key,
      from: this.context.state().me,
      mine: true,
      at: Date.now(),
      text: what.text,
      status: 'sending',
      replyTo: what.replyTo,
      reactions: [],
      files,
      mentions: what.mentions,
    };
  }

  async #upload(key: ConversationKey, local: string): Promise<void> {
    const composed = this.#composed.get(local);
    if (!composed) return;
    const { what, uploaded } = composed;
    const { client, happened } = this.context;
    happened({
      type: 'composed',
      key,
      message: { ...this.#shown(key, local, what), status: 'sending', reason: undefined },
    });
    try {
      for (const [index, file] of (what.files ?? []).entries()) {
        if (uploaded.has(index)) continue;
        const progressed = (progress: number | undefined) =>
          happened({ type: 'file', key, message: local, file: `${local} ${index}`, change: { progress } });
        uploaded.set(
          index,
          await client.files.upload(file, {
            onProgress: ({ sent, total }) => progressed(total > 0 ? sent / total : 1),
          }),
        );
        progressed(undefined);
      }
    } catch (error) {
      happened({ type: 'failed', key, message: local, reason: errorText(error) });
      return;
    }
    this.#composed.delete(local);
    const attachments = [...uploaded].sort(([a], [b]) => a - b).map(([, attachment]) => attachment);
    happened({ type: 'handedOver', key, local, to: this.#hand(key, what, attachments) });
  }

  #shown(key: ConversationKey, local: string, what: What): MessageView {
    return (
      timelineOf(this.context.state(), key).messages.find((message) => message.key === local) ??
      this.#local(local, what)
    );
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
