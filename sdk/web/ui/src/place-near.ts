const GAP = 6;
const EDGE = 8;

/** Puts an open pop-up beside a rectangle of the page, where it fits: below or above, and never outside of the window. */
export function placeNear(popup: HTMLElement, near: DOMRect): void {
  const box = popup.getBoundingClientRect();
  const rightToLeft = getComputedStyle(popup).direction === 'rtl';
  const below = near.bottom + GAP;
  const top = below + box.height <= innerHeight - EDGE ? below : near.top - GAP - box.height;
  const left = rightToLeft ? near.right - box.width : near.left;
  popup.style.setProperty('position', 'fixed');
  popup.style.setProperty('inset', 'auto');
  popup.style.setProperty('top', `${Math.max(EDGE, Math.min(top, innerHeight - box.height - EDGE))}px`);
  popup.style.setProperty('left', `${Math.max(EDGE, Math.min(left, innerWidth - box.width - EDGE))}px`);
}
