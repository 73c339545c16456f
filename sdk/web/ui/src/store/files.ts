import type { Attachment } from '@tidings/client';
import type { ConversationKey, FileView, MessageView } from '../model.js';
import type { Context } from './context.js';

/** Addresses are asked for again so long before they end. */
const EARLY_MS = 30_000;
const AT_ONCE = 4;

/** Finds out where files are: signed addresses that hold for a while. */
export class FilesPart {
  readonly #known = new Map<string, { url: string; until: number }>();
  readonly #asking = new Map<string, Promise<string>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(private readonly context: Context) {}

  async address(file: FileView): Promise<string> {
    const attachment = file.source as Attachment | undefined;
    if (!attachment) return file.address ?? '';
    // Where the app keeps it itself. Nothing but these is ever opened.
    if (!attachment.file) return /^https?:\/\//i.test(attachment.url) ? attachment.url : '';
    const known = this.#known.get(attachment.file);
    if (known && known.until - EARLY_MS > Date.now()) return known.url;
    const asking = this.#asking.get(attachment.file) ?? this.#ask(attachment);
    this.#asking.set(attachment.file, asking);
    return asking.finally(() => this.#asking.delete(attachment.file));
  }

  async #ask(attachment: Attachment): Promise<string> {
    while (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      const { url, expiresAtMs } = await this.context.client.files.link(attachment);
      this.#known.set(attachment.file, { url, until: expiresAtMs });
      return url;
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Puts the address of a picture into the state; without one its thumbnail stays. */
  async show(key: ConversationKey, message: MessageView, file: FileView): Promise<void> {
    const address = await this.address(file).catch(() => '');
    if (address) this.context.happened({ type: 'file', key, message: message.key, file: file.id, change: { address } });
  }
}
