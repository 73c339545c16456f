import { type Attachment, ErrorCode, type Sending, TidingsError } from '@tidings/client';
import { errorText } from '../locale/reason.js';
import type { ConversationKey, FileView, MentionView, MessageView } from '../model.js';
import type { Context } from './context.js';
import type { KeptMessage, KeptUploads } from './kept-uploads.js';
import { timelineOf } from './state.js';

/** What a message says. */
export interface What {
  readonly text: string;
  readonly mentions: readonly MentionView[];
  readonly replyTo?: string | undefined;
}

interface Composed {
  readonly message: KeptMessage;
  readonly files: readonly File[];
  /** What of the files is on the server already: a second try goes on from here. */
  readonly uploaded: Map<number, Attachment>;
  /** Resolves when it is known whether it is kept over a reload. */
  keeping: Promise<void>;
  isKept: boolean;
  isUploading: boolean;
}

/** Refusals that say nothing of the file: another time it may go. */
const PASSING: readonly (ErrorCode | undefined)[] = [
  undefined,
  ErrorCode.RATE_LIMITED,
  ErrorCode.UNAVAILABLE,
  ErrorCode.OVERLOADED,
  ErrorCode.STORAGE_FAILED,
  ErrorCode.TOKEN_EXPIRED,
];

/** Messages with files: shown at once, uploaded, and then handed to the client, once, also when the page is reloaded meanwhile. */
export class UploadingPart {
  readonly #composed = new Map<string, Composed>();
  #ended = new AbortController();

  constructor(
    private readonly context: Context,
    private readonly kept: KeptUploads | undefined,
    private readonly hand: (to: ConversationKey, what: What, files: readonly Attachment[], key: string) => Sending,
  ) {}

  has(local: string): boolean {
    return this.#composed.has(local);
  }

  /** Whether something would be lost if the page ended now. */
  get wouldLose(): boolean {
    return [...this.#composed.values()].some(({ isKept, isUploading }) => isUploading && !isKept);
  }

  begin(conversation: ConversationKey, { text, mentions, replyTo }: What, files: readonly File[]): Promise<void> {
    const at = Date.now();
    const local = `local ${at} ${Math.random().toString(36).slice(2, 12)}`;
    const message: KeptMessage = { local, conversation, at, text, mentions, replyTo, uploaded: [] };
    return this.#begin({ message, files, uploaded: new Map(), ...NOT_KEPT });
  }

  /** Once more what failed. */
  async again(local: string): Promise<void> {
    const composed = this.#composed.get(local);
    if (composed && !composed.isUploading) await this.#begin(composed);
  }

  /** Goes on with what earlier lives of the page, and tabs that end, have not brought to the end. */
  async restore(): Promise<void> {
    const { kept } = this;
    for (const { message } of (await kept?.all()) ?? []) {
      if (this.#composed.has(message.local)) continue;
      kept
        ?.alone(
          message.local,
          async () => {
            const now = (await kept.all()).find((other) => other.message.local === message.local);
            // Another tab brought it to the end while this one waited.
            if (!now) return;
            const uploaded = new Map(now.message.uploaded);
            const composed = { ...now, uploaded, keeping: Promise.resolve(), isKept: true, isUploading: true };
            this.#composed.set(message.local, composed);
            await this.#upload(composed);
          },
          this.#ended.signal,
        )
        .catch(() => undefined);
    }
  }

  /** What is under way ends here; what is kept goes on another time. */
  stop(): void {
    this.#ended.abort();
    this.#ended = new AbortController();
  }

  async #begin(composed: Composed): Promise<void> {
    const { kept } = this;
    const { message, files } = composed;
    this.#composed.set(message.local, composed);
    composed.isUploading = true;
    if (kept && !composed.isKept) {
      composed.keeping = kept.keep({ message, files }).then((isKept) => {
        composed.isKept = isKept;
      });
    }
    if (!kept) return this.#upload(composed);
    this.#show(composed);
    await kept.alone(message.local, () => this.#upload(composed), this.#ended.signal).catch(() => undefined);
  }

  async #upload(composed: Composed): Promise<void> {
    const { message, files, uploaded } = composed;
    const { local, conversation } = message;
    const { client, happened } = this.context;
    const { signal } = this.#ended;
    // With all files there it may have been handed over already: then it is in the history, and the client knows it.
    if (uploaded.size < files.length) this.#show(composed);
    try {
      for (const [index, file] of files.entries()) {
        if (uploaded.has(index)) continue;
        const progressed = (progress: number | undefined) =>
          happened({
            type: 'file',
            key: conversation,
            message: local,
            file: `${local} ${index}`,
            change: { progress },
          });
        const onProgress = ({ sent, total }: { sent: number; total: number }) =>
          progressed(total > 0 ? sent / total : 1);
        uploaded.set(index, await client.files.upload(file, { onProgress, signal }));
        progressed(undefined);
        await composed.keeping;
        if (composed.isKept) await this.kept?.uploaded({ ...message, uploaded: [...uploaded] }).catch(() => undefined);
      }
    } catch (error) {
      composed.isUploading = false;
      if (signal.aborted) return;
      happened({ type: 'failed', key: conversation, message: local, reason: errorText(error) });
      const isFinal = error instanceof TidingsError && error.kind === 'refused' && !PASSING.includes(error.code);
      return isFinal ? this.#drop(composed) : composed.keeping;
    }
    const attachments = [...uploaded].sort(([a], [b]) => a - b).map(([, attachment]) => attachment);
    const sending = this.hand(conversation, message, attachments, local);
    // From here on the client keeps it; where it does not, it is handed over another time.
    await sending.queued.then(
      () => {
        this.#composed.delete(local);
        return this.#drop(composed);
      },
      () => {
        composed.isUploading = false;
      },
    );
  }

  async #drop(composed: Composed): Promise<void> {
    await composed.keeping;
    if (!composed.isKept) return;
    composed.isKept = false;
    await this.kept?.drop(composed.message.local).catch(() => undefined);
  }

  #show(composed: Composed): void {
    const { conversation, local } = composed.message;
    const known = timelineOf(this.context.state(), conversation).messages.find((message) => message.key === local);
    const message = known ?? this.#view(composed);
    this.context.happened({
      type: 'composed',
      key: conversation,
      message: { ...message, status: 'sending', reason: undefined },
    });
  }

  #view({ message, files, uploaded }: Composed): MessageView {
    const { local, at, text, mentions, replyTo } = message;
    return {
      key: local,
      id: local,
      from: this.context.state().me,
      mine: true,
      at,
      text,
      status: 'sending',
      replyTo,
      reactions: [],
      files: files.map((file, index): FileView => {
        const isPicture = /^image\/(png|jpeg|gif|webp|avif|bmp)$/.test(file.type);
        return {
          id: `${local} ${index}`,
          name: file.name,
          mediaType: file.type || 'application/octet-stream',
          size: file.size,
          address: isPicture ? URL.createObjectURL(file) : undefined,
          progress: uploaded.has(index) ? undefined : 0,
        };
      }),
      mentions,
    };
  }
}

const NOT_KEPT = { keeping: Promise.resolve(), isKept: false, isUploading: false };
