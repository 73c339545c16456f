import { execFileSync } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFaults } from './src/axe.js';
import { complaintsOf, launch, newContext } from './src/people.js';

const UI = fileURLToPath(new URL('../ui/', import.meta.url));
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };
/** As strict as the gateway's; the sample's pictures are `data:`. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; base-uri 'none'";

let browser: Browser;
let server: Server;
let address: string;

beforeAll(async () => {
  execFileSync('npx', ['vite', 'build', '--config', 'vite.gallery.config.ts'], { cwd: UI, stdio: 'pipe' });
  server = createServer((request, response) => {
    const path = join(
      UI,
      'dist-gallery',
      new URL(request.url ?? '/', 'http://gallery').pathname.replace(/\/$/, '/index.html'),
    );
    if (!existsSync(path)) return void response.writeHead(404).end();
    response.writeHead(200, {
      'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
      'Content-Security-Policy': POLICY,
    });
    createReadStream(path).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  server?.close();
});

for (const dark of [false, true]) {
  for (const direction of ['ltr', 'rtl']) {
    test(`each element alone, ${dark ? 'dark' : 'light'}, ${direction}: no serious fault, nothing that the policy forbids`, async () => {
      const context = await newContext(browser, { dark, height: 1400 });
      const page = await context.newPage();
      await page.goto(address);
      await page.getByLabel('Direction').selectOption(direction);
      await page.locator('tidings-message-view .row').nth(3).waitFor();
      expect(await page.locator('main > section').count()).toBe(7);
      expect(await seriousFaults(page)).toEqual([]);
      expect(complaintsOf(context)).toEqual([]);
    });
  }
}

test('elements speak another language at once, and tell what is done with them', async () => {
  const page = await (await newContext(browser)).newPage();
  await page.goto(address);
  await page.getByRole('button', { name: /^Ben/ }).first().click();
  await expect.poll(() => page.getByLabel('What they tell').inputValue()).toContain('tidings-open {"key":"u/ben"}');
  await page.getByLabel('Language').selectOption('de');
  await page.getByRole('textbox', { name: 'Nachricht schreiben' }).waitFor();
  await page.locator('tidings-message-view').getByText('Ben hat diese Nachricht gelöscht').waitFor();
});

test('100,000 messages: a screen of them is in the page, wherever one scrolls to', async () => {
  const page = await (await newContext(browser)).newPage();
  await page.goto(address);
  const measured = await page.evaluate(async () => {
    type View = HTMLElement & { messages: object[]; updateComplete: Promise<boolean> };
    const view = document.querySelector('tidings-message-view') as View;
    const now = Date.now();
    const words =
      'Wind from the south west, four, perhaps five; high water at half past six, and a bit of rain. '.repeat(3);
    view.messages = Array.from({ length: 100_000 }, (_, index) => {
      const from = index % 5 === 0 ? 'ada' : 'ben';
      const text = `Number ${index}. ${words.slice(0, (index * 37) % 200)}`;
      const at = now - (100_000 - index) * 60_000;
      return {
        key: `2.${index}`,
        id: `2.${index}`,
        from,
        mine: from === 'ada',
        at,
        text,
        reactions: [],
        files: [],
        mentions: [],
      };
    });
    const begun = performance.now();
    await view.updateComplete;
    const first = performance.now() - begun;
    const scroller = view.shadowRoot?.querySelector('.scroller') as HTMLElement;
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    await frame();
    const steps: number[] = [];
    let most = 0;
    let blank = 0;
    for (let step = 0; step < 120; step += 1) {
      // Now and then far away, as by the scroll bar; else on by a screen.
      scroller.scrollTop =
        step % 10 === 0 ? (scroller.scrollHeight * ((step * 7919) % 100)) / 100 : scroller.scrollTop - 400;
      await frame();
      const asked = performance.now();
      await view.updateComplete;
      await frame();
      steps.push(performance.now() - asked);
      const rows = [...(view.shadowRoot?.querySelectorAll('[data-key]') ?? [])];
      most = Math.max(most, rows.length);
      const box = scroller.getBoundingClientRect();
      const seen = rows.some(
        (row) =>
          row.getBoundingClientRect().top <= box.top + box.height / 2 &&
          row.getBoundingClientRect().bottom >= box.top + box.height / 2,
      );
      if (!seen) blank += 1;
    }
    steps.sort((a, b) => a - b);
    return { first, most, blank, p50: steps[60] ?? 0, p95: steps[114] ?? 0 };
  });
  console.log('100,000 messages', measured);
  expect(measured.most).toBeLessThan(120);
  expect(measured.blank).toBe(0);
  // Of a machine that does much else; what grows with the number of messages takes seconds.
  expect(measured.p50).toBeLessThan(500);
});
