import { Backoff } from '../core/backoff.js';
import { TidingsError } from '../errors.js';
import type { Attachment } from '../model.js';
import type { ClientOptions, UploadOptions } from '../options.js';
import type { Environment } from '../shell/environment.js';
import { gatewayUrl } from '../shell/socket.js';
import type { Tokens } from '../shell/token.js';
import { Service } from './service.js';
import { pictureOf } from './thumbnail.js';
import { upload } from './tus.js';

/** A link is asked for anew so long before its end, in ms. */
const BEFORE_ITS_END = 30_000;
const LINKS_KEPT = 500;
/** Attempts of a download in a row that brought nothing. */
const ATTEMPTS = 8;
/** `Attachment.name` has at most so many bytes. */
const NAME_BYTES = 255;

/** A link for whoever has it, for a time; Unix ms, 0: it does not end. */
export interface Link {
  url: string;
  expiresAtMs: number;
}

export interface DownloadOptions {
  /** `total` is 0 where it is not known. */
  onProgress?: (progress: { received: number; total: number }) => void;
  signal?: AbortSignal;
}

/** Files beside messages: uploaded first, then named in `content.attachments`. */
export class Files {
  readonly #service: Service;
  readonly #links = new Map<string, Link>();
  /** Files whose upload is under way here: a second one of the same must not go on with it. */
  readonly #uploading = new Set<string>();

  constructor(
    private readonly options: ClientOptions,
    private readonly environment: Environment,
    tokens: Tokens,
  ) {
    const [gateway = ''] = [options.url].flat();
    const base = options.filesUrl ?? gatewayUrl(gateway).replace(/^ws/, 'http');
    this.#service = new Service(base, environment, tokens, options.appId);
  }

  /**
   * Uploads a file, in chunks, and goes on after breaks; with a `File` also after a reload, when the same one is given again. Answers what goes into
   * `content.attachments`, with a small picture of an image. @throws TidingsError; with `TOO_LARGE`, for example, the policy does not let it.
   */
  async upload(file: Blob, options: UploadOptions = {}): Promise<Attachment> {
    const { signal, thumbnail = true, onProgress = () => {} } = options;
    signal?.throwIfAborted();
    const given = shortened(options.name ?? (file as File).name ?? 'file');
    const mediaType = options.mediaType ?? (file.type || 'application/octet-stream');
    const picture = thumbnail ? await pictureOf(file) : undefined;
    const known = {
      ...{ file: '', url: '', name: given, mediaType, size: file.size, sha256: new Uint8Array() },
      ...{
        thumbnail: picture?.thumbnail ?? new Uint8Array(),
        width: picture?.width ?? 0,
        height: picture?.height ?? 0,
        durationMs: 0,
      },
    };
    if (this.options.uploadHandler) return { ...known, ...(await this.options.uploadHandler(file, options)) };

    const place = this.#placeOf(file, given);
    const alone = place !== undefined && !this.#uploading.has(place);
    if (alone) this.#uploading.add(place);
    const storage = alone ? this.environment.storage : undefined;
    const resume = {
      get: () => (place && storage?.getItem(place)) ?? null,
      set: (url: string | undefined) => {
        if (place && url) storage?.setItem(place, url);
        else if (place) storage?.removeItem(place);
      },
    };
    try {
      const total = file.size;
      const progress = (sent: number) => onProgress({ sent, total });
      const url = await upload(this.#service, { file, name: given, mediaType, signal, onProgress: progress, resume });
      const response = await this.#again(() => this.#service.call('GET', url, { signal }), signal);
      const made = await response.json();
      resume.set(undefined);
      return {
        ...known,
        file: String(made.file),
        url: made.url ?? '',
        name: made.name ?? given,
        mediaType: made.media_type ?? mediaType,
        size: Number(made.size ?? total),
        sha256: bytesOfHex(made.sha256 ?? ''),
      };
    } finally {
      if (alone) this.#uploading.delete(place);
    }
  }

  /** A link to a file that was in a message for this user; for `<img src>`, say. It is asked for once, and again before it ends. */
  async link(of: Pick<Attachment, 'file' | 'url'> | string, { signal }: { signal?: AbortSignal } = {}): Promise<Link> {
    const { file, url } = typeof of === 'string' ? { file: of, url: '' } : of;
    if (!file) {
      // It comes from another person.
      if (!/^https?:/.test(url)) throw this.#service.unexpected('the attachment names no file, and no address');
      return { url, expiresAtMs: 0 };
    }
    const kept = this.#links.get(file);
    if (kept && kept.expiresAtMs - BEFORE_ITS_END > Date.now()) return kept;
    const address = this.#service.address(`/files/v1/files/${encodeURIComponent(file)}/link`);
    const answer = await (await this.#again(() => this.#service.call('POST', address, { signal }), signal)).json();
    const link = { url: this.#service.address(String(answer.url)), expiresAtMs: Number(answer.expires_at_ms) };
    this.#links.delete(file);
    this.#links.set(file, link);
    const [oldest] = this.#links.keys();
    if (this.#links.size > LINKS_KEPT && oldest !== undefined) this.#links.delete(oldest);
    return link;
  }

  /** Fetches a file, going on after breaks, and checks it against the attachment's hash. */
  async download(attachment: Attachment, options: DownloadOptions = {}): Promise<Blob> {
    const { signal, onProgress = () => {} } = options;
    const backoff = new Backoff(500, 20_000);
    const parts: BlobPart[] = [];
    let received = 0;
    let failures = 0;
    for (;;) {
      try {
        const { url } = await this.link(attachment, options);
        const headers: Record<string, string> = received > 0 ? { Range: `bytes=${received}-` } : {};
        const response = await this.#service.call('GET', url, { headers, signal, anonymous: true });
        if (response.status !== 206) {
          // The whole of it, whatever was asked for.
          parts.length = 0;
          received = 0;
        }
        const reader = response.body?.getReader();
        for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
          parts.push(next.value as Uint8Array<ArrayBuffer>);
          received += next.value.length;
          failures = 0;
          onProgress({ received, total: attachment.size });
          if (attachment.size > 0 && received > attachment.size)
            throw this.#service.unexpected('the file is longer than it should be');
        }
        if (attachment.size === 0 || received >= attachment.size) break;
        throw new TypeError('the download ended early');
      } catch (error) {
        signal?.throwIfAborted();
        failures += 1;
        const failure = this.#service.failureOf(error);
        // A link that ended is asked for anew, once.
        const ended = failure === 'gone' && failures === 1 && this.#links.delete(attachment.file);
        if ((failure !== 'again' && !ended) || failures >= ATTEMPTS) throw error;
        if (!ended) await this.#service.pause(backoff.next(Math.random), signal, error);
      }
    }
    const blob = new Blob(parts, { type: attachment.mediaType });
    await checkHash(blob, attachment.sha256);
    return blob;
  }

  /** The same call until it is answered, a few times. */
  async #again(call: () => Promise<Response>, signal: AbortSignal | undefined): Promise<Response> {
    const backoff = new Backoff(500, 20_000);
    for (let failures = 1; ; failures += 1) {
      try {
        return await call();
      } catch (error) {
        signal?.throwIfAborted();
        if (this.#service.failureOf(error) !== 'again' || failures >= ATTEMPTS) throw error;
        await this.#service.pause(backoff.next(Math.random), signal, error);
      }
    }
  }

  /** Where an upload of this very file is noted; nothing of what cannot be known again. */
  #placeOf(file: Blob, name: string): string | undefined {
    const { lastModified } = file as File;
    if (lastModified === undefined) return undefined;
    const what = JSON.stringify([this.#service.base, name, file.size, file.type, lastModified]);
    return `tidings/${this.options.account ?? 'default'}/upload/${what}`;
  }
}

async function checkHash(blob: Blob, sha256: Uint8Array): Promise<void> {
  // Only pages from https or localhost can.
  if (sha256.length === 0 || typeof crypto.subtle === 'undefined') return;
  const found = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
  if (found.some((byte, index) => byte !== sha256[index])) {
    throw new TidingsError({
      kind: 'unknown-answer',
      code: undefined,
      message: 'the file is not the one that was sent',
    });
  }
}

function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** At most as long as a name may be, without breaking a sign; what tells the type stays. */
function shortened(name: string): string {
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  const dot = name.lastIndexOf('.');
  const end = dot > 0 && bytes(name.slice(dot)) <= 16 ? name.slice(dot) : '';
  const signs = [...name.slice(0, name.length - end.length)];
  while (bytes(signs.join('')) + bytes(end) > NAME_BYTES) signs.pop();
  return signs.join('') + end;
}
