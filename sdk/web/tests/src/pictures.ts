import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

/** Where pictures for the documentation go: where TIDINGS_IMAGES says, so that a run of the tests changes no file of the tree. */
const FOLDER = process.env.TIDINGS_IMAGES ?? fileURLToPath(new URL('../test-results/images/', import.meta.url));

export async function shoot(page: Page, name: string): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  await page.evaluate(async () => {
    await document.fonts.ready;
    await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => undefined)));
  });
  const image = await page.screenshot({ path: `${FOLDER}/${name}.png`, animations: 'disabled', caret: 'hide' });
  expect(image.length).toBeGreaterThan(5_000);
}
