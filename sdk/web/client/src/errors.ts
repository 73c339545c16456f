import { ErrorCode } from './gen/tidings/errors/v1/errors_pb.js';

/**
 * How a call ended without doing what it was asked for.
 * - `refused`: the server will not do it; `code` says why. Nobody received the message.
 * - `unknown`: the server lost the stream while the message had no answer: it may or may not have been sent.
 * - `stopped`: the client stopped before an answer came. With `storage: 'indexeddb'` a message stays in the outbox and goes out later.
 * - `withdrawn`: aborted by its signal before the server could have it: it was not sent.
 * - `full`: the outbox, or the number of requests, is at its limit.
 * - `unknown-answer`: the answer is of a kind that this build does not know.
 * - `not-stored`: the browser's storage does not take it: it was not sent.
 */
export type FailureKind = 'refused' | 'unknown' | 'stopped' | 'withdrawn' | 'full' | 'unknown-answer' | 'not-stored';

export interface Failure {
  kind: FailureKind;
  code: ErrorCode | undefined;
  message: string;
}

/** A message or a request that failed; {@link FailureKind} says what that means. */
export class TidingsError extends Error {
  readonly kind: FailureKind;
  /** The server's code, where it has one. */
  readonly code: ErrorCode | undefined;

  constructor(readonly failure: Failure) {
    const code = failure.code === undefined ? '' : `${codeName(failure.code)}: `;
    super(`${code}${failure.message}`);
    this.name = 'TidingsError';
    this.kind = failure.kind;
    this.code = failure.code;
  }
}

/** What `getToken` throws when there will be no token: the client stops instead of trying again. */
export class SignedOutError extends Error {
  constructor(message = 'signed out') {
    super(message);
    this.name = 'SignedOutError';
  }
}

export function codeName(code: number): string {
  return ErrorCode[code] ?? `code ${code}`;
}
