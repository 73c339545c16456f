import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEADLINE_MS, Node } from './src/node.js';
import { launch, newContext, Person, picture } from './src/people.js';

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

async function two(first: string, second: string): Promise<[Person, Person]> {
  const a = await Person.signIn(await newContext(browser), node, first);
  const b = await Person.signIn(await newContext(browser), node, second);
  await a.chatWith(b.user);
  return [a, b];
}

/** Every text once, in the order of sending. */
async function expectOnce(person: Person, texts: readonly string[]): Promise<void> {
  const shown = async () => (await person.texts()).filter((text) => texts.includes(text));
  await expect.poll(shown, { timeout: DEADLINE_MS }).toEqual(texts);
}

test('a reload in the middle of sending loses and doubles nothing', async () => {
  const [dora, emil] = await two('Dora', 'Emil');
  const texts = Array.from({ length: 12 }, (_, index) => `Reload ${index + 1}`);
  for (const text of texts) await dora.say(text);
  // What is shown is in the outbox, which knows whatever was on its way then.
  await dora.sees(texts.at(-1)!);
  await dora.page.reload();
  await dora.isThere();
  await dora.status(texts.at(-1)!, 'delivered');
  await expectOnce(dora, texts);
  await emil.open('Dora');
  await expectOnce(emil, texts);
});

test('messages that wait without a network outlive a reload, and go out when it is back', async () => {
  const [frida, gero] = await two('Frida', 'Gero');
  await frida.say('With a network');
  await frida.status('With a network', 'delivered');
  await frida.page.context().setOffline(true);
  await frida.page.locator('tidings-status').getByText('No connection').waitFor();
  await frida.say('Without one');
  await frida.status('Without one', 'sending');
  await frida.page.context().setOffline(false);
  await frida.status('Without one', 'delivered');
  await gero.open('Frida');
  await expectOnce(gero, ['With a network', 'Without one']);
});

test('the server is killed and comes back: a pause, and nothing is lost or doubled', async () => {
  const [hanna, ingo] = await two('Hanna', 'Ingo');
  await ingo.chatWith('hanna');
  await hanna.say('Before');
  await ingo.sees('Before');
  await node.kill9();
  await hanna.page.locator('tidings-status').getByText('No connection').waitFor();
  await hanna.say('While it is away');
  await ingo.say('I wait too');
  await hanna.status('While it is away', 'sending');
  await node.launch();
  await hanna.isThere();
  await ingo.sees('While it is away');
  await hanna.sees('I wait too');
  await hanna.status('While it is away', 'read');
  expect(await hanna.message('While it is away').count()).toBe(1);
  expect(await ingo.message('While it is away').count()).toBe(1);
});

test('two tabs of one person show the same, and one goes on when the other closes', async () => {
  const context = await newContext(browser);
  const jule = await Person.signIn(context, node, 'Jule');
  const kai = await Person.signIn(await newContext(browser), node, 'Kai');
  const second = await jule.secondTab(node);
  await jule.chatWith('kai');
  await jule.say('From the first tab');
  await second.open('Kai');
  await second.sees('From the first tab');
  await second.say('From the second tab');
  await jule.sees('From the second tab');
  await kai.open('Jule');
  await expectOnce(kai, ['From the first tab', 'From the second tab']);
  // Whichever held the connection: the other has it now.
  await jule.page.close();
  await second.page.bringToFront();
  await second.say('From the one that is left');
  await second.status('From the one that is left', 'read');
  await kai.say('Still there?');
  await second.sees('Still there?');
  await expectOnce(kai, ['From the first tab', 'From the second tab', 'From the one that is left', 'Still there?']);
});

test('a revoked sign-in says why, and leads to a new one', async () => {
  const lena = await Person.signIn(await newContext(browser), node, 'Lena');
  const listed = (await node.cli('token', 'list', 'lena', '--json'))
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string });
  for (const token of listed) await node.cli('token', 'revoke', 'lena', token.id);
  await lena.page.locator('tidings-status').getByText('this sign-in was revoked').waitFor();
  await lena.page.getByRole('button', { name: 'Sign in again' }).click();
  await lena.page.getByLabel('Your name').fill('Lena');
  await lena.page.getByRole('button', { name: 'Start chatting' }).click();
  await lena.isThere();
});

test('a photo whose upload is interrupted goes on when the server is back', async () => {
  const [mia, nils] = await two('Mia', 'Nils');
  await node.kill9();
  const chooser = mia.page.waitForEvent('filechooser');
  await mia.page.getByRole('button', { name: 'Attach files' }).click();
  await (await chooser).setFiles(await picture(mia.page));
  await mia.say('Through a storm');
  await mia.sees('Through a storm');
  await node.launch();
  await mia.status('Through a storm', 'delivered');
  await nils.open('Mia');
  await (await nils.sees('Through a storm')).locator('.picture img').first().waitFor();
});

test('a reload in the middle of an upload: it goes on, and the message arrives once', async () => {
  const [olga, paul] = await two('Olga', 'Paul');
  const { page } = olga;
  // The first piece goes through, and the next one never ends.
  let holds = true;
  const offsets: number[] = [];
  let isHeld = () => {};
  const held = new Promise<void>((resolve) => (isHeld = resolve));
  await page.route('**/files/v1/uploads/**', (route) => {
    const offset = route.request().headers()['upload-offset'];
    if (route.request().method() !== 'PATCH') return route.continue();
    offsets.push(Number(offset));
    return offset === '0' || !holds ? route.continue() : isHeld();
  });
  const chooser = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Attach files' }).click();
  const buffer = Buffer.alloc(1_500_000, 'A long letter. ');
  await (await chooser).setFiles({ name: 'letter.txt', mimeType: 'text/plain', buffer });
  await olga.say('The whole letter');
  await held;
  holds = false;
  const [, before] = offsets.splice(0);
  await page.reload();
  await olga.isThere();
  await olga.status('The whole letter', 'delivered');
  // It went on from what was there.
  expect(offsets[0]).toBe(before);
  await paul.open('Olga');
  await paul.sees('The whole letter');
  await paul.page.locator('tidings-message-view .file', { hasText: 'letter.txt' }).waitFor();
  await page.reload();
  await olga.isThere();
  await olga.status('The whole letter', 'read');
  for (const person of [olga, paul]) expect(await person.message('The whole letter').count()).toBe(1);
});

test('of a file that is too large to be kept the browser asks before the page is left', async () => {
  const [quentin] = await two('Quentin', 'Rita');
  const { page } = quentin;
  const folder = mkdtempSync(join(tmpdir(), 'tidings-web-'));
  try {
    const large = join(folder, 'large.bin');
    writeFileSync(large, '');
    truncateSync(large, 129 * 1024 * 1024);
    // It is enough that it has begun.
    await page.route('**/files/v1/uploads', () => undefined);
    const chooser = page.waitForEvent('filechooser');
    await page.getByRole('button', { name: 'Attach files' }).click();
    await (await chooser).setFiles(large);
    await quentin.say('All of it');
    await quentin.status('All of it', 'sending');
    const asked = page.waitForEvent('dialog');
    await page.evaluate(() => void setTimeout(() => location.reload()));
    const dialog = await asked;
    expect(dialog.type()).toBe('beforeunload');
    await dialog.dismiss();
    await quentin.status('All of it', 'sending');
  } finally {
    await page.context().close();
    rmSync(folder, { recursive: true, force: true });
  }
});
