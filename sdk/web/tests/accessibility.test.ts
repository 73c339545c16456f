import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFaults } from './src/axe.js';
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

for (const dark of [false, true]) {
  test(`axe-core finds no serious fault, ${dark ? 'dark' : 'light'}`, async () => {
    const context = await newContext(browser, { dark });
    const start = await context.newPage();
    await start.goto(node.origin);
    await start.getByLabel('Your name').waitFor();
    expect(await seriousFaults(start)).toEqual([]);

    const suffix = dark ? 'n' : 't';
    const quirin = await Person.signIn(context, node, `Quirin${suffix}`);
    const rosa = await Person.signIn(await newContext(browser), node, `Rosa${suffix}`);
    await quirin.chatWith(rosa.user);
    await quirin.say('Have you seen https://example.com ?');
    await quirin.status('Have you seen', 'delivered');
    await rosa.open(quirin.name);
    await rosa.say('Not yet 🙂');
    await (await rosa.menuOf('Have you seen')).getByRole('menuitemcheckbox', { name: 'React 👍' }).click();
    await quirin.message('Have you seen').locator('.chip').waitFor();
    await quirin.page.bringToFront();
    expect(await seriousFaults(quirin.page)).toEqual([]);

    await quirin.menuOf('Not yet');
    expect(await seriousFaults(quirin.page)).toEqual([]);
    await quirin.page.keyboard.press('Escape');

    for (const name of ['New conversation', 'New group', 'New poll', /^Settings/]) {
      await quirin.page.getByRole('button', { name }).first().click();
      await quirin.page.getByRole('dialog').waitFor();
      expect(await seriousFaults(quirin.page)).toEqual([]);
      await quirin.page.keyboard.press('Escape');
      await quirin.page.getByRole('dialog').waitFor({ state: 'hidden' });
    }

    await quirin.page.getByRole('button', { name: 'New group' }).click();
    await quirin.page.getByLabel('Name of the group').fill('Readers');
    await quirin.page.getByLabel('Members, with spaces between').fill(rosa.user);
    await quirin.page.getByRole('button', { name: 'Create' }).click();
    await quirin.isAt('Readers');
    await quirin.page.getByRole('button', { name: 'About this conversation', exact: true }).click();
    await quirin.page.locator('tidings-group-panel .member').first().waitFor();
    expect(await seriousFaults(quirin.page)).toEqual([]);
  });
}

test('all of it goes without a mouse', async () => {
  const sven = await Person.signIn(await newContext(browser), node, 'Sven');
  const tine = await Person.signIn(await newContext(browser), node, 'Tine');
  await sven.chatWith('tine');
  await sven.say('Without a mouse');
  await sven.status('Without a mouse', 'delivered');
  await tine.page.bringToFront();
  await tine.inList('Sven').waitFor();
  // From the search into the list, by the keys alone.
  await tine.page.getByRole('searchbox').focus();
  await tine.page.keyboard.press('Tab');
  await tine.page.keyboard.press('Enter');
  await tine.sees('Without a mouse');
  await tine.field.waitFor();
  await tine.page.locator('tidings-message-view .scroller').focus();
  await tine.page.keyboard.press('ArrowUp');
  await tine.page.keyboard.press('Enter');
  await tine.page.getByRole('menuitem', { name: 'Reply' }).waitFor();
  await tine.page.keyboard.press('Enter');
  await tine.page.locator('tidings-composer .context').waitFor();
  await tine.page.keyboard.type('And with an answer');
  await tine.page.keyboard.press('Enter');
  await (await sven.sees('And with an answer')).locator('.quote').waitFor();
  // The arrow up edits what was said last, once it is sent.
  await tine.status('And with an answer', 'read');
  await tine.page.keyboard.press('ArrowUp');
  await tine.page.locator('tidings-composer .context', { hasText: 'Edit message' }).waitFor();
  await tine.page.keyboard.press('End');
  await tine.page.keyboard.type('!');
  await tine.page.keyboard.press('Enter');
  await sven.sees('And with an answer!');
});
