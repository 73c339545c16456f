import type { Heights } from './heights.js';

/** Where the view has to stay while rows come, go and change their height. */
export type Anchor =
  | { readonly kind: 'bottom' }
  /** A row stands so far below the upper edge, in pixels; below zero when it begins above it. */
  | { readonly kind: 'row'; readonly key: string; readonly offset: number };

/** What keeps its place is the first row that is seen in full or in part. */
export function anchorAt(heights: Heights, keyOf: (index: number) => string | undefined, scrollTop: number): Anchor {
  const index = heights.at(scrollTop);
  const key = keyOf(index);
  return key === undefined ? { kind: 'bottom' } : { kind: 'row', key, offset: heights.topOf(index) - scrollTop };
}

/** The scroll position that an anchor asks for; undefined when its row is not there any more. */
export function scrollTopOf(anchor: Anchor, heights: Heights, viewport: number, padding: number): number | undefined {
  const most = Math.max(0, heights.total + padding - viewport);
  if (anchor.kind === 'bottom') return most;
  const index = heights.indexOf(anchor.key);
  return index === undefined ? undefined : Math.max(0, Math.min(most, heights.topOf(index) - anchor.offset));
}
