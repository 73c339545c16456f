import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Finding {
  id: string;
  impact: string;
  help: string;
  nodes: { target: unknown; failureSummary: string }[];
}

/** What axe-core finds that is serious or worse. */
export async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  // Colours are judged when nothing fades any more.
  await page.evaluate(() => {
    const ends = document
      .getAnimations()
      .filter((animation) => animation.effect?.getComputedTiming().iterations !== Number.POSITIVE_INFINITY);
    return Promise.all(ends.map((animation) => animation.finished.catch(() => undefined)));
  });
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run: () => Promise<{ violations: unknown[] }> } };
    return (await axe.run()).violations;
  });
  const serious = (found as Finding[]).filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return serious.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}\n  ${nodes.map((at) => `${JSON.stringify(at.target)} ${at.failureSummary}`).join('\n  ')}`,
  );
}
