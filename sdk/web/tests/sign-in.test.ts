import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Node } from './src/node.js';
import { launch, newContext, Person } from './src/people.js';

let browser: Browser;

beforeAll(async () => {
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
});

test('where not everybody may sign in, a token does; it says who one is', async () => {
  const node = await Node.start('demo.sign_in=false');
  try {
    await node.cli('user', 'create', 'wanda');
    const token = await node.cli('token', 'create', 'wanda');
    const page = await (await newContext(browser)).newPage();
    await page.goto(node.origin);
    await page.getByLabel('User name').fill('somebody');
    await page.getByLabel('Access token').fill(token);
    await page.getByRole('button', { name: 'Start chatting' }).click();
    await page.locator('tidings-status[state=connected]').waitFor({ state: 'attached' });
    await page.getByRole('button', { name: 'Settings: Signed in as Wanda' }).waitFor();
    expect(page.url()).not.toContain(token);

    const other = await (await newContext(browser)).newPage();
    await other.goto(node.origin);
    await other.getByLabel('User name').fill('wanda');
    await other.getByLabel('Access token').fill('tdt_nonsense');
    await other.getByRole('button', { name: 'Start chatting' }).click();
    await other.getByText('this sign-in is not known here').waitFor();
  } finally {
    await node.stop();
  }
});

test('signing out leaves the tab, and who was there goes on with a click', async () => {
  const node = await Node.start();
  try {
    const xaver = await Person.signIn(await newContext(browser), node, 'Xaver');
    await xaver.page.getByRole('button', { name: /^Settings/ }).click();
    await xaver.page.getByLabel('Language').selectOption('de');
    await xaver.page.getByRole('button', { name: 'Abmelden' }).click();
    await xaver.page.getByLabel('Dein Name').waitFor();
    await xaver.page.getByRole('button', { name: 'Xaver', exact: true }).click();
    await xaver.isThere();
    await xaver.page.getByRole('heading', { name: 'Tidings' }).waitFor();
    await xaver.page.reload();
    await xaver.isThere();
    await xaver.page.getByText('Noch keine Unterhaltungen').waitFor();
  } finally {
    await node.stop();
  }
});
