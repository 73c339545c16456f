import { SignedOutError } from '../errors.js';
import type { ClientOptions, TokenContext } from '../options.js';

/** A token is asked for anew so long before its end, in ms. */
const BEFORE_ITS_END = 30_000;

/** The last token, for as long as it is good. */
export class Tokens {
  #token: string | undefined;
  #expiresAtMs = Number.POSITIVE_INFINITY;
  #reason: TokenContext['reason'] = 'first';
  #asking: Promise<string> | undefined;

  constructor(private readonly getToken: ClientOptions['getToken']) {}

  /** The server does not take it any more. */
  expired(): void {
    this.#reason = 'expired';
    this.#expiresAtMs = 0;
  }

  /** @throws SignedOutError when there will be none; anything else is worth another attempt. */
  get(signal: AbortSignal): Promise<string> {
    if (this.#token !== undefined && Date.now() < this.#expiresAtMs - BEFORE_ITS_END)
      return Promise.resolve(this.#token);
    this.#asking ??= this.#ask(signal).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(signal: AbortSignal): Promise<string> {
    const previous = this.#token;
    const reason = previous === undefined ? 'first' : this.#reason;
    const given = await this.getToken({ reason, previous, signal });
    const { token, expiresAtMs } = typeof given === 'string' ? { token: given, expiresAtMs: undefined } : given;
    if (!token) throw new SignedOutError('getToken gave no token');
    this.#token = token;
    this.#expiresAtMs = expiresAtMs ?? Number.POSITIVE_INFINITY;
    this.#reason = 'expiring';
    return token;
  }
}
