import type { ConversationKey } from '@tidings/ui';

/** Where the app is: `#/`, `#/u/bob`, `#/g/team`, each conversation also with `/about`. */
export interface Route {
  readonly key: ConversationKey | undefined;
  readonly about: boolean;
}

export function routeOf(hash: string): Route {
  const match = /^#\/([ug])\/([^/]+)(\/about)?$/.exec(hash);
  if (!match) return { key: undefined, about: false };
  try {
    return { key: `${match[1]}/${decodeURIComponent(match[2] ?? '')}`, about: match[3] !== undefined };
  } catch {
    return { key: undefined, about: false };
  }
}

export function hashOf({ key, about }: Route): string {
  return key ? `#/${key.slice(0, 1)}/${encodeURIComponent(key.slice(2))}${about ? '/about' : ''}` : '#/';
}
