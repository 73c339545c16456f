// Calls to the file service: with the token, and with its errors in the client's terms.
import { TidingsError } from '../errors.js';
import { ErrorCode } from '../gen/tidings/errors/v1/errors_pb.js';
import type { Environment } from '../shell/environment.js';
import type { Tokens } from '../shell/token.js';

/** What a failed call means: the same again after a while, begin anew, or nothing to be done. */
export type CallFailure = 'again' | 'gone' | 'final';

/** The service answered with an HTTP status that is no success. */
export class StatusError extends TidingsError {
  constructor(
    readonly status: number,
    code: ErrorCode | undefined,
    message: string,
    /** When it asks to be tried again, in ms. */
    readonly retryAfterMs = 0,
  ) {
    super({ kind: 'refused', code, message });
  }
}

/** Of what a `Retry-After` may ask for, in ms. */
const LONGEST_WAIT = 60_000;

interface CallInit {
  headers?: Record<string, string>;
  body?: Blob | string;
  signal?: AbortSignal | undefined;
  /** Without the token: a signed link has its own right. */
  anonymous?: boolean;
}

export class Service {
  constructor(
    readonly base: string,
    private readonly environment: Environment,
    private readonly tokens: Tokens,
    private readonly appId: string | undefined,
  ) {}

  address(path: string): string {
    return new URL(path, this.base).href;
  }

  /** @throws StatusError; TypeError when there was no connection. */
  async call(method: string, url: string, init: CallInit = {}): Promise<Response> {
    const { anonymous, signal } = init;
    for (let again = false; ; again = true) {
      const headers: Record<string, string> = { ...init.headers };
      if (!anonymous) {
        // The token goes to the file service alone, wherever a redirection or an answer points.
        if (new URL(url).origin !== new URL(this.base).origin)
          throw this.unexpected(`${url} is not of the file service`);
        if (this.appId) headers['Tidings-App-Id'] = this.appId;
        headers.Authorization = `Bearer ${await this.tokens.get(signal ?? new AbortController().signal)}`;
      }
      const request: RequestInit = { method, headers, credentials: 'omit', redirect: anonymous ? 'follow' : 'error' };
      if (init.body !== undefined) request.body = init.body;
      if (signal) request.signal = signal;
      const response = await this.environment.fetch(url, request);
      if (response.ok) return response;
      const error = await errorOf(response);
      if (response.status !== 401 || error.code !== ErrorCode.TOKEN_EXPIRED || anonymous || again) throw error;
      this.tokens.expired();
    }
  }

  failureOf(error: unknown): CallFailure {
    if (error instanceof StatusError) {
      if (error.status === 404 || error.status === 410) return 'gone';
      // 409: the offset is another one; 423: an earlier attempt still writes.
      return error.status >= 500 || [408, 409, 423, 425, 429].includes(error.status) ? 'again' : 'final';
    }
    return error instanceof TidingsError || (error as Error)?.name === 'SignedOutError' ? 'final' : 'again';
  }

  unexpected(message: string): TidingsError {
    return new TidingsError({ kind: 'unknown-answer', code: undefined, message });
  }

  /** Waits, at least as long as the service asks, or until the network comes back. @throws the signal's reason. */
  pause(ms: number, signal: AbortSignal | undefined, after?: unknown): Promise<void> {
    const wait = Math.max(ms, after instanceof StatusError ? after.retryAfterMs : 0);
    const { window } = this.environment;
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        window?.removeEventListener('online', end);
        signal?.removeEventListener('abort', end);
        if (signal?.aborted) reject(signal.reason);
        else resolve();
      };
      const timer = setTimeout(end, wait);
      window?.addEventListener('online', end);
      signal?.addEventListener('abort', end);
    });
  }
}

async function errorOf(response: Response): Promise<StatusError> {
  let said: { error?: { code?: string; message?: string } } = {};
  try {
    said = JSON.parse((await response.text()).slice(0, 4096));
  } catch {
    // Of something in between that does not speak our language.
  }
  const name = said.error?.code ?? '';
  const code = (ErrorCode as unknown as Record<string, ErrorCode | undefined>)[name];
  const unknown = name && code === undefined ? `${name}: ` : '';
  const message = said.error?.message ?? `the file service answered ${response.status}`;
  const retryAfterMs = Math.min(Number(response.headers.get('Retry-After') ?? 0) || 0, LONGEST_WAIT / 1000) * 1000;
  return new StatusError(
    response.status,
    typeof code === 'number' ? code : undefined,
    `${unknown}${message}`,
    retryAfterMs,
  );
}
