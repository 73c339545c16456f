// What error codes and close codes ask for (docs/reference/errors.md). The close code of an error is 4000 and its number, or 4500 and its
// number where a machine alone can do nothing: 4000 to 4499 reconnect, 4500 to 4999 stop.
import { ErrorCode } from '../gen/tidings/errors/v1/errors_pb.js';

/** What to do about an error: the same again after a while, a new connection, or nothing that a machine could do alone. */
export type Next = 'retry' | 'reconnect' | 'stop';

const RETRY: readonly number[] = [
  ErrorCode.RATE_LIMITED,
  ErrorCode.OUT_OF_ORDER,
  ErrorCode.UNAVAILABLE,
  ErrorCode.OVERLOADED,
  ErrorCode.STORAGE_FAILED,
  ErrorCode.NOT_LEADER,
  ErrorCode.OUTCOME_UNKNOWN,
];
const RECONNECT: readonly number[] = [
  ErrorCode.HANDSHAKE_TIMEOUT,
  ErrorCode.HEARTBEAT_TIMEOUT,
  ErrorCode.FLOOD,
  ErrorCode.SLOW_CONSUMER,
  ErrorCode.DRAINING,
  ErrorCode.INTERNAL,
];

export function nextOf(code: number): Next {
  if (RETRY.includes(code)) return 'retry';
  // What a newer server says is worth another connection, as the close code of an unknown error is.
  return RECONNECT.includes(code) || ErrorCode[code] === undefined || code === 0 ? 'reconnect' : 'stop';
}

export function closeCodeOf(code: number): number {
  return (nextOf(code) === 'stop' ? 4500 : 4000) + code;
}

/** The error behind a close code of ours. */
export function errorOf(closeCode: number): ErrorCode | undefined {
  const code = closeCode % 1000 >= 500 ? closeCode - 4500 : closeCode - 4000;
  return code > 0 && ErrorCode[code] !== undefined && closeCodeOf(code) === closeCode ? code : undefined;
}

/** Whether a client that was closed with this code, known to it or not, should connect again. Below 4000 are the codes of RFC 6455: connections that broke. */
export function reconnects(closeCode: number): boolean {
  return closeCode <= 4499;
}
