import type { Attachment } from '@tidings/client';
import type { ConversationKey, FileView, MessageView } from '../model.js';
import type { Context } from './context.js';

const AT_ONCE = 4;

/** Finds out where files are: signed addresses that hold for a while, which the client keeps. */
export class FilesPart {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(private readonly context: Context) {}

  /** Empty where there is none: nothing but `http` and `https` is ever opened. */
  async address(file: FileView): Promise<string> {
    const attachment = file.source as Attachment | undefined;
    if (!attachment) return file.address ?? '';
    while (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      const { url } = await this.context.client.files.link(attachment);
      return /^https?:\/\//i.test(url) ? url : '';
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Puts the address of a picture into the state; without one its thumbnail stays. */
  async show(key: ConversationKey, message: MessageView, file: FileView): Promise<void> {
    const address = await this.address(file).catch(() => '');
    if (!address || address === file.address) return;
    this.context.happened({ type: 'file', key, message: message.key, file: file.id, change: { address } });
  }
}
