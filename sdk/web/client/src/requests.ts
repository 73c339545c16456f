import { TidingsError } from './errors.js';
import { type Request, RequestSchema, type Response } from './gen/tidings/client/v1/client_pb.js';
import type { Init } from './model.js';
import type { Hub } from './shell/hub.js';
import { encode } from './wire.js';

/** What is asked; fields that have nothing to say may be left out. */
export type Asked =
  Exclude<Request['request'], { case: undefined }> extends infer R
    ? R extends { case: infer C; value: infer V }
      ? { case: C; value: Init<V> }
      : never
    : never;
type Answered = Exclude<Response['response'], { case: undefined }>;

/** What one kind of a oneof holds. */
export type ValueOf<O, C> = O extends { case: C; value: infer V } ? V : never;

export interface CallOptions {
  /** Ends the wait. */
  signal?: AbortSignal | undefined;
}

/** Asks until there is an answer, and takes out of it what is of the right kind. @throws TidingsError */
export async function ask<C extends Answered['case']>(
  hub: Hub,
  request: Asked,
  answer: C,
  { signal }: CallOptions = {},
): Promise<ValueOf<Answered, C>> {
  const asked = hub.call<Answered>({ op: 'request', body: encodeRequest(request) });
  const response = await abortable(asked, signal);
  if (response.case !== answer) {
    const message = 'the answer is of another kind than what was asked for';
    throw new TidingsError({ kind: 'unknown-answer', code: undefined, message });
  }
  return response.value as ValueOf<Answered, C>;
}

/** Without its id. */
export function encodeRequest(request: Asked): Uint8Array {
  return encode(RequestSchema, { request });
}

export function watchRequest(users: string[]): Uint8Array {
  return encodeRequest({ case: 'watchPresence', value: { users } });
}

export function receiptsRequest(group: string, off: boolean): Uint8Array {
  return encodeRequest({ case: 'watchGroupReceipts', value: { group, off } });
}

/** The same promise, which the signal ends. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
