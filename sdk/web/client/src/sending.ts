import type { Accepted } from './model.js';

/** A message that was given to the client. */
export interface Sending {
  /** Names it on this device from the first moment, also across reloads. */
  readonly key: string;
  /** Its id; undefined until this device has been connected once. */
  readonly id: string | undefined;
  /** Resolves when it is in the outbox: from here on it is sent, whatever happens to the page. */
  readonly queued: Promise<void>;
  /** Resolves when the server has accepted it; rejects with a `TidingsError`. Has no time limit: an unknown outcome is asked for again. */
  readonly sent: Promise<Accepted>;
}
