import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Node } from './src/node.js';
import { launch, newContext, Person, picture } from './src/people.js';
import { shoot } from './src/pictures.js';

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

test('the main screens, wide and narrow, light and dark', async () => {
  const start = await (await newContext(browser)).newPage();
  await start.goto(node.origin);
  await start.getByLabel('Your name').waitFor();
  await shoot(start, 'sign-in');

  const mine = await newContext(browser);
  const ada = await Person.signIn(mine, node, 'Ada');
  const others = await newContext(browser);
  const ben = await Person.signIn(others, node, 'Ben');
  const cleo = await Person.signIn(others, node, 'Cleo');
  const mira = await Person.signIn(others, node, 'Mira');
  await mira.chatWith('ada');
  await mira.say('The mooring is paid, receipt is on its way');
  await cleo.chatWith('ada');
  await cleo.say('Shall I bring the tent?');

  await ada.page.getByRole('button', { name: 'New group' }).click();
  await ada.page.getByLabel('Name of the group').fill('Sailing club');
  await ada.page.getByLabel('Members, with spaces between').fill('ben cleo mira');
  await ada.page.getByRole('button', { name: 'Create' }).click();
  await ada.isAt('Sailing club');
  await ada.say('Saturday looks good: south-west, four');
  await cleo.page.bringToFront();
  await cleo.open('Sailing club');
  await cleo.sees('Saturday looks good');
  await cleo.say('I am in! @Ada, is the new sail ready? 😄');
  await mira.page.bringToFront();
  await mira.open('Sailing club');
  await mira.sees('I am in!');
  await mira.say('Me too. I bring coffee ☕');
  await (await mira.menuOf('Saturday looks good')).getByRole('menuitemcheckbox', { name: 'React ❤️' }).click();
  await cleo.page.bringToFront();
  await cleo.sees('Me too');
  await cleo.message('Saturday looks good').locator('.chip').click();
  await (await ada.menuOf('I am in!')).getByRole('menuitem', { name: 'Reply' }).click();
  await ada.say('It is. I picked it up this morning');
  await ada.status('It is. I picked it up', 'delivered');

  await ada.chatWith('ben');
  await ada.say('Good morning! How was the trip?');
  await ben.page.bringToFront();
  await ben.open('Ada');
  await ben.sees('How was the trip?');
  await ben.say('Wonderful. We had the whole bay to ourselves');
  await ben.say('Look at this evening:');
  const attach = ben.page.getByRole('button', { name: 'Attach files' });
  if (await attach.isVisible()) {
    const chooser = ben.page.waitForEvent('filechooser');
    await attach.click();
    await (await chooser).setFiles(await picture(ben.page));
    await ben.page.getByRole('button', { name: 'Send', exact: true }).click();
    await ada.page.locator('tidings-message-view .picture img:not(.thumb)').waitFor();
  }
  await (await ada.menuOf('the whole bay')).getByRole('menuitem', { name: 'Reply' }).click();
  await ada.say('Lucky you! In the harbour it rained all day');
  await (await ben.menuOf('Lucky you!')).getByRole('menuitemcheckbox', { name: 'React 😂' }).click();
  await ada.message('Lucky you!').locator('.chip').waitFor();
  await ada.say('Are you in for Saturday?');
  await ada.status('Are you in for Saturday?', 'read');
  await ben.say('Of course 🙂 The list is at https://example.com/crew');
  await ada.sees('Of course');
  await ada.say('👍');
  await ada.status('👍', 'read');
  await Promise.all([
    ada.page.locator('messenger-chat header').getByText('typing…').waitFor(),
    ben.field.pressSequentially('I will bring'),
  ]);
  await shoot(ada.page, 'chat-light');
  await ada.page.emulateMedia({ colorScheme: 'dark' });
  await shoot(ada.page, 'chat-dark');

  await ada.menuOf('Of course');
  await shoot(ada.page, 'menu-dark');
  await ada.page.keyboard.press('Escape');
  await ada.page.emulateMedia({ colorScheme: 'light' });

  await ada.page.setViewportSize({ width: 1320, height: 820 });
  await ada.open('Sailing club');
  await ada.page.getByRole('button', { name: 'About this conversation', exact: true }).click();
  await ada.page.locator('tidings-group-panel .member').last().waitFor();
  await shoot(ada.page, 'group-light');
  await ada.page.getByRole('button', { name: 'Close' }).first().click();

  await ada.page.getByRole('searchbox').fill('sa');
  await ada.page.locator('tidings-search .conversation', { hasText: 'Saturday' }).first().waitFor();
  await shoot(ada.page, 'search-light');
  await ada.page.getByRole('searchbox').press('Escape');

  // The same person at a phone: a device of its own.
  for (const dark of [false, true]) {
    const name = dark ? 'dark' : 'light';
    const phone = await Person.signIn(
      await newContext(browser, { width: 390, height: 780, dark, phone: true }),
      node,
      'Ada',
    );
    await phone.inList('Ben').waitFor();
    await phone.inList('Sailing club').waitFor();
    await shoot(phone.page, `phone-list-${name}`);
    await phone.open(dark ? 'Sailing club' : 'Ben');
    await phone.sees(dark ? 'I picked it up' : 'Of course');
    await shoot(phone.page, `phone-chat-${name}`);
    await phone.page.getByRole('button', { name: 'Back' }).click();
    await phone.inList('Ben').waitFor();
  }

  await ada.page.goto(`${node.origin}/#/u/ben`);
  await ada.page.evaluate(() => localStorage.setItem('tidings.language', 'ar'));
  await ada.page.reload();
  await ada.sees('Of course');
  await shoot(ada.page, 'rtl-light');
});
