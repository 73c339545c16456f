import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Node } from './src/node.js';
import { complaintsOf, launch, newContext, Person, picture } from './src/people.js';

let node: Node;
let browser: Browser;
let contexts: BrowserContext[];
let ada: Person;
let ben: Person;
let cleo: Person;

beforeAll(async () => {
  node = await Node.start();
  browser = await launch();
  contexts = [await newContext(browser), await newContext(browser)];
  ada = await Person.signIn(contexts[0]!, node, 'Ada');
  ben = await Person.signIn(contexts[1]!, node, 'Ben');
  // In a second tab of Ben's browser: tabs are people.
  cleo = await Person.signIn(contexts[1]!, node, 'Cleo');
});

afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

test('two people chat, and see how far their messages have come', async () => {
  await ada.chatWith('ben');
  await ada.say('Hello Ben!');
  await ada.status('Hello Ben!', 'delivered');
  // He has it, and has not looked: it counts as unread.
  await ben.page.bringToFront();
  await ben.inList('Ada').locator('.badge').waitFor();
  await ben.open('Ada');
  await ben.sees('Hello Ben!');
  await ada.status('Hello Ben!', 'read');
  await ben.inList('Ada').locator('.badge').waitFor({ state: 'detached' });
  await ben.say('Hello Ada, how are you?');
  await ada.sees('Hello Ada, how are you?');
  await ben.status('Hello Ada, how are you?', 'read');
});

test('who is online and who is typing is said', async () => {
  await ada.page.locator('messenger-chat header').getByText('online').waitFor();
  // It fades: whoever waits for it has to look before.
  await Promise.all([
    ada.page.locator('messenger-chat header').getByText('typing…').waitFor(),
    ada.inList('Ben').getByText('typing…').waitFor(),
    ben.field.pressSequentially('I am thi'),
  ]);
  await ben.field.fill('');
  await ben.field.press('Tab');
  await ada.page.locator('messenger-chat header').getByText('typing…').waitFor({ state: 'detached' });
});

test('a message is answered, reacted to, edited, pinned and taken back', async () => {
  const menu = await ben.menuOf('Hello Ben!');
  await menu.getByRole('menuitem', { name: 'Reply' }).click();
  await ben.say('Good to see you here');
  const answer = await ada.sees('Good to see you here');
  await answer.locator('.quote').getByText('Hello Ben!').waitFor();

  await (await ada.menuOf('Good to see you here')).getByRole('menuitemcheckbox', { name: 'React ❤️' }).click();
  await ben.message('Good to see you here').locator('.chip', { hasText: '❤️' }).waitFor();
  await ada.message('Good to see you here').locator('.chip', { hasText: '❤️' }).click();
  await ben.message('Good to see you here').locator('.chip').waitFor({ state: 'detached' });

  await (await ben.menuOf('Good to see you here')).getByRole('menuitem', { name: 'Edit' }).click();
  await ben.say('Good to see you there');
  await (await ada.sees('Good to see you there')).locator('.meta').getByText('edited').waitFor();
  expect(await ada.message('Good to see you here').count()).toBe(0);

  await (await ada.menuOf('Good to see you there')).getByRole('menuitem', { name: 'Pin' }).click();
  await ben.page.locator('messenger-chat .pinned').getByText('Good to see you there').waitFor();

  await (await ben.menuOf('Good to see you there')).getByRole('menuitem', { name: 'Delete for everyone' }).click();
  await ada.sees('Ben deleted this message');
  await ben.sees('You deleted this message');
  await ada.page.locator('messenger-chat .pinned').waitFor({ state: 'detached' });
});

test('what was written comes back after a reload, with its marks', async () => {
  await ada.page.reload();
  await ada.isThere();
  await ada.sees('Ben deleted this message');
  await ada.status('Hello Ben!', 'read');
  await ada.inList('Ben').getByText('Ben deleted this message').waitFor();
});

test('a photo goes with its words, and opens large', async () => {
  const chooser = ada.page.waitForEvent('filechooser');
  await ada.page.getByRole('button', { name: 'Attach files' }).click();
  await (await chooser).setFiles(await picture(ada.page));
  await ada.page.locator('tidings-composer .tray img').waitFor();
  await ada.say('From the beach');
  await ada.status('From the beach', 'read');
  const received = await ben.sees('From the beach');
  const shown = received.locator('.picture img:not(.thumb)');
  await shown.waitFor();
  await ben.page.waitForFunction(
    (image) => (image as HTMLImageElement).naturalWidth === 640,
    await shown.elementHandle(),
  );
  await received.locator('.picture').click();
  await ben.page.locator('messenger-lightbox img').waitFor();
  await ben.page.keyboard.press('Escape');
  await ben.page.locator('messenger-lightbox img').waitFor({ state: 'detached' });
});

test('pictures are pasted, and a file is dropped', async () => {
  await ada.field.focus();
  await ada.page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 40;
    canvas.getContext('2d')!.fillRect(0, 0, 40, 40);
    const blob = await new Promise<Blob>((resolve) => canvas.toBlob((made) => resolve(made!)));
    const transfer = new DataTransfer();
    transfer.items.add(new File([blob], 'pasted.png', { type: 'image/png' }));
    let field: Element | null = document.activeElement;
    while (field?.shadowRoot?.activeElement) field = field.shadowRoot.activeElement;
    field?.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, composed: true, cancelable: true }),
    );
  });
  await ada.page.locator('tidings-composer .tray img[alt="pasted.png"]').waitFor();
  const transfer = await ada.page.evaluateHandle(() => {
    const made = new DataTransfer();
    made.items.add(new File(['minutes of the meeting'], 'minutes.txt', { type: 'text/plain' }));
    return made;
  });
  const pane = ada.page.locator('messenger-chat .pane');
  await pane.dispatchEvent('dragenter', { dataTransfer: transfer });
  await ada.page.locator('messenger-chat .drop').waitFor();
  await pane.dispatchEvent('drop', { dataTransfer: transfer });
  await ada.page.locator('tidings-composer .tray').getByText('minutes.txt').waitFor();
  await ada.page.getByRole('button', { name: 'Send', exact: true }).click();
  const file = ben.page.locator('tidings-message-view .file', { hasText: 'minutes.txt' });
  const download = ben.page.waitForEvent('download');
  await file.click();
  expect((await download).suggestedFilename()).toBe('minutes.txt');
});

test('a group: made, written to, mentions, who has read it, roles, leaving', async () => {
  await ada.page.getByRole('button', { name: 'New group' }).click();
  await ada.page.getByLabel('Name of the group').fill('Sailing');
  await ada.page.getByLabel('Members, with spaces between').fill('ben cleo');
  await ada.page.getByRole('button', { name: 'Create' }).click();
  await ada.isAt('Sailing');
  await ada.field.pressSequentially('Who is in on Saturday? @be');
  await ada.page.locator('tidings-composer [role=option]', { hasText: 'Ben' }).waitFor();
  await ada.field.press('Enter');
  await ada.field.press('Enter');
  // All have it, and nobody has looked: the server says so.
  await ada.status('Who is in on Saturday?', 'delivered');
  await cleo.page.bringToFront();
  await cleo.open('Sailing');
  await (await cleo.sees('Who is in on Saturday? @ben')).locator('.mention').waitFor();
  await cleo.say('I am!');
  await ben.page.bringToFront();
  await ben.inList('Sailing').locator('.badge.at').waitFor();
  await ben.open('Sailing');
  await (await ben.sees('Who is in on Saturday? @ben')).locator('.mention.of-me').waitFor();
  await (await ben.sees('I am!')).locator('.sender', { hasText: 'Cleo' }).waitFor();
  await Promise.all([
    ada.page.locator('messenger-chat header').getByText('Ben is typing…').waitFor(),
    ben.field.pressSequentially('Me '),
  ]);
  await ben.say('Me too');
  await ada.sees('Me too');
  await ada.status('Who is in on Saturday?', 'read');
  await (await ada.menuOf('Who is in on Saturday?')).getByRole('menuitem', { name: 'Who has read it' }).click();
  await ada.page.getByText('2 of 2 have read it').waitFor();
  await ada.page.keyboard.press('Escape');

  await ada.page.getByRole('button', { name: 'About this conversation', exact: true }).click();
  const panel = ada.page.locator('tidings-group-panel');
  await panel.locator('.member', { hasText: 'Ben' }).getByRole('button', { name: 'Actions for Ben' }).click();
  await panel.getByRole('menuitem', { name: 'Make admin' }).click();
  await panel.locator('.member', { hasText: 'Ben' }).locator('.role', { hasText: 'admin' }).waitFor();
  await panel.getByRole('button', { name: 'Rename' }).click();
  await panel.getByLabel('Name of the group').fill('Sailing club');
  await panel.getByRole('button', { name: 'Save' }).click();
  await ben.inList('Sailing club').waitFor();
  await panel.locator('.member', { hasText: 'Cleo' }).getByRole('button', { name: 'Actions for Cleo' }).click();
  await panel.getByRole('menuitem', { name: 'Remove from the group' }).click();
  await cleo.inList('Sailing club').waitFor({ state: 'detached' });
  await ben.sees('Me too');
  await ben.page.locator('tidings-message-view .event', { hasText: 'Ada removed Cleo' }).waitFor();
});

test('a poll is asked, and counts the votes of all', async () => {
  await ada.open('Sailing club');
  await ada.page.getByRole('button', { name: 'New poll' }).click();
  await ada.page.getByLabel('Question').fill('Which harbour?');
  await ada.page.getByLabel('Answer 1').fill('North');
  await ada.page.getByRole('button', { name: 'Ask', exact: true }).click();
  await ada.page.getByRole('alert').getByText('at least two answers').waitFor();
  await ada.page.getByLabel('Answer 2').fill('South');
  await ada.page.getByLabel('Answer 3').fill('None');
  await ada.page.getByRole('button', { name: 'Ask', exact: true }).click();
  await ben.page.bringToFront();
  await ben.open('Sailing club');
  const poll = (person: Person) => person.page.getByRole('group', { name: 'Which harbour?' });
  await poll(ben).getByRole('button', { name: 'South' }).click();
  await poll(ada).getByRole('button', { name: 'South 1' }).waitFor();
  await poll(ada).getByRole('button', { name: 'North' }).click();
  await poll(ben).getByText('2 votes').waitFor();
  // One answer each: another one takes the first back.
  await poll(ben).getByRole('button', { name: 'North' }).click();
  await poll(ada).getByRole('button', { name: 'North 2' }).waitFor();
  await poll(ada).getByRole('button', { name: 'South 0' }).waitFor();
  await poll(ada).getByText('2 votes').waitFor();
});

test('a message is forwarded, with its file, to somebody else', async () => {
  await ada.open('Ben');
  await (await ada.menuOf('From the beach')).getByRole('menuitem', { name: 'Forward' }).click();
  await ada.page.getByRole('dialog').getByRole('button', { name: 'Sailing club' }).click();
  await ada.isAt('Sailing club');
  const forwarded = await ben.sees('From the beach');
  await forwarded.getByText('Forwarded').waitFor();
  await forwarded.locator('.picture img:not(.thumb)').waitFor();
});

test('who knows the code of an invitation joins the group', async () => {
  await node.cli('group', 'create', 'harbour', 'ada');
  const code = (await node.cli('group', 'invite', 'harbour')).split(/\s+/)[0] ?? '';
  await cleo.page.bringToFront();
  await cleo.page.getByRole('button', { name: 'New group' }).click();
  await cleo.page.getByLabel('Invitation code').fill('no-such-code');
  await cleo.page.getByRole('button', { name: 'Join' }).click();
  await cleo.page.getByRole('dialog').getByRole('alert').filter({ hasText: /./ }).waitFor();
  await cleo.page.getByLabel('Invitation code').fill(code);
  await cleo.page.getByRole('button', { name: 'Join' }).click();
  await cleo.isAt('harbour');
  await cleo.say('Here I am');
  await ada.inList('Harbour').getByText('Here I am').waitFor();
});

test('the search finds people and messages, and opens them where they stand', async () => {
  await ada.page.getByRole('searchbox').fill('beach');
  const found = ada.page.locator('tidings-search .conversation', { hasText: 'From the beach' });
  await found.filter({ hasText: 'Ben' }).click();
  await ada.isAt('Ben');
  await ada.sees('From the beach');
  await ada.page.getByRole('searchbox').press('Escape');
  await ada.inList('Ben').waitFor();
});

test('nothing of a message is HTML, and only harmless addresses are links', async () => {
  await ada.open('Ben');
  const nasty =
    '<img src=x onerror="document.title=\'owned\'"><b>bold</b> javascript:alert(1) https://example.com/a?b=c.';
  await ada.say(nasty);
  await ben.page.bringToFront();
  await ben.open('Ada');
  const message = await ben.sees('bold');
  expect(await message.locator('.text').first().textContent()).toContain(nasty);
  expect(await message.locator('.text img, .text b').count()).toBe(0);
  expect(
    await message.locator('.text a').evaluateAll((links) => links.map((link) => link.getAttribute('href'))),
  ).toEqual(['https://example.com/a?b=c']);
  expect(await ben.page.title()).not.toContain('owned');
});

test('settings of a conversation are kept by the server', async () => {
  await ada.inList('Ben').click({ button: 'right' });
  await ada.page.getByRole('menuitem', { name: 'Pin to the top' }).click();
  await ada.inList('Ben').getByTitle('favourite').waitFor();
  await ada.inList('Ben').click({ button: 'right' });
  await ada.page.getByRole('menuitem', { name: 'Mute' }).click();
  await ada.inList('Ben').getByTitle('muted').waitFor();
  await ada.open('Ben');
  await ada.page.getByRole('button', { name: 'About this conversation', exact: true }).click();
  const profile = ada.page.locator('tidings-profile');
  await profile.getByRole('button', { name: 'Add to contacts' }).click();
  await profile.getByRole('button', { name: 'Remove from contacts' }).waitFor();
  await ada.page.reload();
  await ada.inList('Ben').getByTitle('muted').waitFor();
  await profile.getByRole('button', { name: 'Remove from contacts' }).waitFor();
  await ada.page.locator('.about-pane').getByRole('button', { name: 'Close' }).click();
});

test('what was begun waits in its conversation', async () => {
  await ben.page.bringToFront();
  await ben.open('Ada');
  await ben.field.fill('About the mooring');
  await ben.open('Sailing club');
  expect(await ben.field.inputValue()).toBe('');
  await ben.inList('Ada').getByText('Draft: About the mooring').waitFor();
  await ben.open('Ada');
  expect(await ben.field.inputValue()).toBe('About the mooring');
  await ben.field.press('Enter');
  await ada.open('Ben');
  await ada.sees('About the mooring');
});

test('a message to nobody says so', async () => {
  await ada.chatWith('nobody-here');
  await ada.say('Is anybody there?');
  await ada.status('Is anybody there?', 'failed');
  await ada.message('Is anybody there?').getByText('There is no such user').waitFor();
});

test('no page broke its policy or threw', () => {
  for (const context of contexts) expect(complaintsOf(context)).toEqual([]);
});
