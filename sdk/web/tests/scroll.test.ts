import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Node } from './src/node.js';
import { launch, newContext, Person } from './src/people.js';

const MESSAGES = 10_000;

let node: Node;
let browser: Browser;

beforeAll(async () => {
  node = await Node.start('gateway.sends_per_second=100000', 'gateway.sends_burst=100000');
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await node?.stop();
});

/** Sends many messages over a connection of its own in the page, as docs/protocol.md says, a window at a time. */
function flood(page: Page, to: string, count: number): Promise<number> {
  return page.evaluate(
    async ({ to, count }) => {
      const { token } = JSON.parse(sessionStorage.getItem('tidings.session') ?? '{}') as { token: string };
      const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/v1/connect`, 'tidings.v1.json');
      return new Promise<number>((resolve, reject) => {
        let sent = 0;
        let answered = 0;
        const more = () => {
          while (sent < count && sent - answered < 200) {
            sent += 1;
            const long =
              sent % 7 === 0
                ? ' Some are longer than others, so that not all rows are of one height, which would be too easy.'
                : '';
            socket.send(
              JSON.stringify({
                send: {
                  seq: String(sent),
                  after: sent > 1 && answered < sent - 1 ? String(sent - 1) : '0',
                  to,
                  content: { text: `Number ${sent}.${long}` },
                },
              }),
            );
          }
        };
        socket.onopen = () => socket.send(JSON.stringify({ hello: { version: 1, token, device: 'flood' } }));
        socket.onerror = () => reject(new Error('the connection broke'));
        socket.onclose = (event) => reject(new Error(`closed: ${event.code}`));
        socket.onmessage = ({ data }) => {
          const frame = JSON.parse(data as string) as {
            welcome?: object;
            accepted?: object;
            refused?: { message: string };
          };
          if (frame.refused) reject(new Error(frame.refused.message));
          if (frame.welcome) more();
          if (!frame.accepted) return;
          answered += 1;
          if (answered === count) {
            socket.onclose = null;
            socket.close();
            resolve(answered);
          } else more();
        };
      });
    },
    { to, count },
  );
}

test('10,000 messages: few rows in the page, every page of history comes, frames are quick', async () => {
  const otto = await Person.signIn(await newContext(browser), node, 'Otto');
  const page = (await Person.signIn(await newContext(browser), node, 'Paula')).page;
  expect(await flood(otto.page, 'paula', MESSAGES)).toBe(MESSAGES);
  await page.reload();
  const paula = Object.assign(Object.create(Person.prototype) as Person, { name: 'Paula', page });
  await paula.isThere();
  await paula.open('Otto');
  await paula.sees(`Number ${MESSAGES}.`);

  // To the very beginning, as fast as pages come.
  const measured = await page.evaluate(async () => {
    const inPage = (selector: string, root: ParentNode = document): Element | null => {
      const found = root.querySelector(selector);
      if (found) return found;
      for (const element of root.querySelectorAll('*')) {
        const inside = element.shadowRoot && inPage(selector, element.shadowRoot);
        if (inside) return inside;
      }
      return null;
    };
    const view = inPage('tidings-message-view') as HTMLElement & { messages: { text: string }[]; hasOlder: boolean };
    const scroller = view.shadowRoot!.querySelector('.scroller')!;
    const frames: number[] = [];
    let most = 0;
    const ended = Date.now() + 400_000;
    let last = performance.now();
    await new Promise<void>((resolve) => {
      const step = (now: number) => {
        frames.push(now - last);
        last = now;
        most = Math.max(most, view.shadowRoot!.querySelectorAll('[data-key]').length);
        if ((!view.hasOlder && scroller.scrollTop <= 0) || Date.now() > ended) return resolve();
        scroller.scrollTop = Math.max(0, scroller.scrollTop - 900);
        requestAnimationFrame(step);
      };
      requestAnimationFrame(step);
    });
    frames.sort((a, b) => a - b);
    return {
      messages: view.messages.length,
      first: view.messages[0]?.text,
      most,
      frames: frames.length,
      p50: frames[Math.floor(frames.length / 2)]!,
      p99: frames[Math.floor(frames.length * 0.99)]!,
    };
  });
  console.log('scrolled 10,000 messages', measured);
  expect(measured.messages).toBe(MESSAGES);
  expect(measured.first).toBe('Number 1.');
  expect(measured.most).toBeLessThan(150);
  // Of a machine that does much else; what grows with the number of messages takes seconds.
  expect(measured.p50).toBeLessThan(500);
  await paula.sees('Number 1.');

  // What is read stays where it is while something new comes; a button says so, and leads there.
  await otto.chatWith('paula');
  await otto.say('A new one at the end');
  await page.locator('tidings-message-view .newest .count').waitFor();
  await paula.sees('Number 1.');
  await page.locator('tidings-message-view .newest').click();
  await paula.sees('A new one at the end');
  await paula.sees(`Number ${MESSAGES}.`);
}, 600_000);

test('a row stays where it is while older ones come in above it', async () => {
  const otto = await Person.signIn(await newContext(browser), node, 'Otto');
  await otto.open('Paula');
  await otto.sees('A new one at the end');
  const drift = await otto.page.evaluate(async () => {
    const app = document.querySelector('messenger-app')!;
    const view = app
      .shadowRoot!.querySelector('messenger-chat')!
      .shadowRoot!.querySelector('tidings-message-view')! as HTMLElement & { messages: unknown[] };
    const scroller = view.shadowRoot!.querySelector('.scroller')!;
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    let most = 0;
    for (let pages = 0; pages < 4; pages += 1) {
      const before = view.messages.length;
      scroller.scrollTop = 700;
      await frame();
      await frame();
      const top = scroller.getBoundingClientRect().top;
      const row = [...view.shadowRoot!.querySelectorAll<HTMLElement>('[data-id]')].find(
        (element) => element.getBoundingClientRect().top >= top + 20,
      )!;
      const key = row.dataset.key!;
      const at = row.getBoundingClientRect().top;
      const ended = Date.now() + 60_000;
      while (view.messages.length === before && Date.now() < ended) await frame();
      await frame();
      await frame();
      const after = view
        .shadowRoot!.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)!
        .getBoundingClientRect().top;
      most = Math.max(most, Math.abs(after - at));
    }
    return most;
  });
  expect(drift).toBeLessThan(3);
});
