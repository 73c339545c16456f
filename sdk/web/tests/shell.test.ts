import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Node } from './src/node.js';
import { launch, newContext, Person } from './src/people.js';

let node: Node;
let browser: Browser;

beforeAll(async () => {
  node = await Node.start();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

test('the app opens without a network, keeps what is written, and sends it later', async () => {
  const context = await newContext(browser, { workers: true });
  const uli = await Person.signIn(context, node, 'Uli');
  const vera = await Person.signIn(await newContext(browser), node, 'Vera');
  await uli.chatWith('vera');
  await uli.say('Before the tunnel');
  await uli.status('Before the tunnel', 'delivered');
  await uli.page.evaluate(() => navigator.serviceWorker.ready);
  // The worker controls the page from its next load on, and keeps the assets of that.
  await uli.page.reload();
  await uli.isThere();
  await uli.page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await uli.page.reload();
  await uli.isThere();
  await context.setOffline(true);
  await uli.page.reload();
  await uli.page.locator('tidings-status').getByText('No connection').waitFor();
  // The list is there as it was.
  await uli.inList('Vera').getByText('Before the tunnel').waitFor();
  await uli.say('In the tunnel');
  await uli.status('In the tunnel', 'sending');
  await context.setOffline(false);
  await uli.status('In the tunnel', 'delivered');
  await vera.open('Uli');
  await vera.sees('In the tunnel');
  expect(await vera.message('In the tunnel').count()).toBe(1);
});

test('it can be installed', async () => {
  const page = await (await newContext(browser)).newPage();
  await page.goto(node.origin);
  const href = await page.locator('link[rel=manifest]').getAttribute('href');
  const answer = await page.request.get(new URL(href ?? '', node.origin).href);
  expect(answer.ok()).toBe(true);
  const manifest = (await answer.json()) as {
    display: string;
    start_url: string;
    icons: { src: string; sizes: string; purpose?: string }[];
  };
  expect(manifest).toMatchObject({ display: 'standalone', start_url: '/' });
  for (const icon of manifest.icons)
    expect((await page.request.get(new URL(icon.src, node.origin).href)).ok()).toBe(true);
  expect(manifest.icons.map((icon) => icon.sizes)).toEqual(expect.arrayContaining(['192x192', '512x512']));
});
