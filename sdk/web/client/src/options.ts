import type { Attachment } from './model.js';

export interface TokenContext {
  /** `first`: none was asked for yet; `expiring`: the last one is at its end; `expired`: the server no longer took it. */
  reason: 'first' | 'expiring' | 'expired';
  /** The one before. */
  previous: string | undefined;
  /** Ends when the client does not need the token any more. */
  signal: AbortSignal;
}

/** A token, and when it ends, where that is known: the client then asks for the next one in time. */
export type Token = string | { token: string; expiresAtMs?: number };

export interface UploadOptions {
  /** Called as bytes are kept by the server; at least once, with `sent` equal to `total` at the end. */
  onProgress?: (progress: { sent: number; total: number }) => void;
  /** Ends the upload; what was kept stays until it expires, and the same file goes on from there. */
  signal?: AbortSignal;
  /** Instead of the file's own. */
  name?: string;
  mediaType?: string;
  /** A small picture to go with an image; true by default where the page can make one. */
  thumbnail?: boolean;
}

/** Uploads to a server of one's own; answers what goes into the message: `url`, and whatever else is known. */
export type UploadHandler = (file: Blob, options: UploadOptions) => Promise<Partial<Attachment>>;

export interface ClientOptions {
  /**
   * Where a gateway listens: `wss://host[:port][/path]`, or `https://…`; a path of its own where it is not `/v1/connect`. With several,
   * attempts take turns.
   */
  url: string | readonly string[];
  /** Called before the first attempt, when the token ends, and when the server says that it has expired. Throws {@link SignedOutError} when there is none. */
  getToken: (context: TokenContext) => Promise<Token>;
  /**
   * Whose client it is on this device: tabs with the same account share one connection and one outbox. Give the user's id where
   * several may sign in with the same browser. Default `default`.
   */
  account?: string;
  /** Names this device of the user, 1 to 63 bytes. Default: a random one, kept in the storage. Empty: a client that only sends; nothing is delivered to it. */
  device?: string;
  /**
   * `indexeddb` (default): a reload or a crash neither loses nor doubles a message, and tabs share one connection; it needs a page from
   * https or localhost, and is `memory` elsewhere. `memory`: nothing is kept, and each client is a device of its own.
   */
  storage?: 'indexeddb' | 'memory';
  /** As in `Hello.app_id`, where the token is bound to one. */
  appId?: string;
  /** Named to the operator; at most 127 bytes. */
  agent?: string;
  /** When the server lost the stream (it was restored from a backup, say): send again what may have been sent already. Default false. */
  resendUnknown?: boolean;
  /** In the place of the gateway's file service. */
  uploadHandler?: UploadHandler;
  /** Where the file service is. Default: the origin of `url`. */
  filesUrl?: string;
  /** Ceiling of the first and of every wait before a reconnect, in ms. Default 500 and 20,000. */
  backoff?: { first?: number; last?: number };
}
