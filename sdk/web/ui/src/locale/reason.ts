import { ErrorCode, TidingsError } from '@tidings/client';
import { say } from './locale.js';
import { english, type Key } from './strings.js';

/** Why something did not work, in the page's language where the code is one that people meet; else the server's words. */
export function reasonText(code: ErrorCode | undefined, words: string | undefined): string {
  const name = code === undefined ? undefined : ErrorCode[code];
  const key = `reason.${name}`;
  if (name && key in english) return say(key as Key);
  return words || name || say('status.failed');
}

export function errorText(error: unknown): string {
  if (error instanceof TidingsError) return reasonText(error.code, error.message);
  return error instanceof Error ? error.message : String(error);
}
