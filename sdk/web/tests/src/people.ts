import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright-core';
import { DEADLINE_MS, type Node } from './node.js';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb', '--font-render-hinting=none'],
  });
}

export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  readonly locale?: string;
  readonly phone?: boolean;
  /** With the worker that keeps the shell; elsewhere it would only come between. */
  readonly workers?: boolean;
}

/** What the pages of a context complained of: a test that ends with something here has failed. */
const complaints = new WeakMap<BrowserContext, string[]>();

export async function newContext(browser: Browser, look: Look = {}): Promise<BrowserContext> {
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1200, height: look.height ?? 800 },
    colorScheme: look.dark ? 'dark' : 'light',
    locale: look.locale ?? 'en-GB',
    timezoneId: 'Europe/Berlin',
    hasTouch: look.phone ?? false,
    isMobile: look.phone ?? false,
    deviceScaleFactor: 1,
    serviceWorkers: look.workers ? 'allow' : 'block',
  });
  context.setDefaultTimeout(DEADLINE_MS);
  const heard: string[] = [];
  complaints.set(context, heard);
  context.on('weberror', (error) => heard.push(String(error.error())));
  context.on('console', (message) => {
    if (message.type() === 'error' && /Content Security Policy|Refused to/i.test(message.text()))
      heard.push(message.text());
  });
  return context;
}

export function complaintsOf(context: BrowserContext): readonly string[] {
  return complaints.get(context) ?? [];
}

/** A person at a tab of the messenger. */
export class Person {
  private constructor(
    readonly name: string,
    readonly page: Page,
  ) {}

  /** Opens the app and signs in by name. */
  static async signIn(context: BrowserContext, node: Node, name: string): Promise<Person> {
    const page = await context.newPage();
    await page.goto(node.origin);
    await page.getByLabel('Your name').fill(name);
    await page.getByRole('button', { name: 'Start chatting' }).click();
    const person = new Person(name, page);
    await person.isThere();
    return person;
  }

  /** A second tab of the same person, by the list of who signed in here. */
  async secondTab(node: Node): Promise<Person> {
    const page = await this.page.context().newPage();
    await page.goto(node.origin);
    await page.getByRole('button', { name: this.name, exact: true }).click();
    const person = new Person(this.name, page);
    await person.isThere();
    return person;
  }

  get user(): string {
    return this.name.toLowerCase();
  }

  async isThere(): Promise<void> {
    await this.page.locator('tidings-status[state=connected]').waitFor({ state: 'attached' });
  }

  get field(): Locator {
    return this.page.getByRole('textbox', { name: 'Write a message' });
  }

  /** Begins a conversation with a user, by the dialog. */
  async chatWith(user: string): Promise<void> {
    await this.page.getByRole('button', { name: 'New conversation' }).click();
    await this.page.getByLabel('User name').fill(user);
    await this.page.getByRole('button', { name: 'Start', exact: true }).click();
    await this.isAt(user.replaceAll('-', ' '));
  }

  /** Waits until a conversation is open: what is written goes there. */
  async isAt(name: string): Promise<void> {
    await this.page.locator(`messenger-chat .pane[aria-label="${name}" i]`).waitFor();
    await this.field.waitFor();
  }

  /** Opens a conversation in the list. */
  async open(name: string): Promise<void> {
    await this.inList(name).click();
    await this.isAt(name);
  }

  inList(name: string): Locator {
    return this.page
      .locator('tidings-conversation-list .conversation')
      .filter({ has: this.page.locator('b', { hasText: new RegExp(`^${name}$`) }) });
  }

  async say(text: string): Promise<void> {
    await this.field.fill(text);
    await this.field.press('Enter');
  }

  /** The message that has this text. */
  message(text: string): Locator {
    return this.page.locator('tidings-message-view .row').filter({ hasText: text });
  }

  async sees(text: string): Promise<Locator> {
    const message = this.message(text).last();
    await message.waitFor();
    return message;
  }

  /** Waits until an own message has come so far. */
  async status(text: string, status: string): Promise<void> {
    await this.page
      .locator(`tidings-message-view .row[data-status="${status}"]`)
      .filter({ hasText: text })
      .last()
      .waitFor();
  }

  async menuOf(text: string): Promise<Locator> {
    await (await this.sees(text)).locator('.bubble').click({ button: 'right', position: { x: 6, y: 6 } });
    const menu = this.page.locator('tidings-message-menu .menu');
    await menu.waitFor();
    return menu;
  }

  /** All texts that are in the page now, in order. */
  async texts(): Promise<string[]> {
    const texts = await this.page.locator('tidings-message-view .row .text').allInnerTexts();
    return texts.map((text) => text.trim());
  }
}

/** A picture that is worth a look: a sunset over the sea, drawn in the page. */
export async function picture(
  page: Page,
  width = 640,
  height = 420,
): Promise<{ name: string; mimeType: string; buffer: Buffer }> {
  const base64 = await page.evaluate(
    ([width, height]) => {
      const canvas = document.createElement('canvas');
      canvas.width = width;
      canvas.height = height;
      const draw = canvas.getContext('2d')!;
      const sky = draw.createLinearGradient(0, 0, 0, height * 0.62);
      for (const [at, colour] of [
        [0, '#1f3b73'],
        [0.45, '#c8577a'],
        [0.8, '#f7a15c'],
        [1, '#ffd98a'],
      ] as const)
        sky.addColorStop(at, colour);
      draw.fillStyle = sky;
      draw.fillRect(0, 0, width, height * 0.62);
      draw.fillStyle = '#fff1c9';
      draw.beginPath();
      draw.arc(width * 0.6, height * 0.52, height * 0.09, 0, 7);
      draw.fill();
      const sea = draw.createLinearGradient(0, height * 0.62, 0, height);
      sea.addColorStop(0, '#e8965c');
      sea.addColorStop(0.3, '#7c4a6f');
      sea.addColorStop(1, '#16254a');
      draw.fillStyle = sea;
      draw.fillRect(0, height * 0.62, width, height);
      draw.strokeStyle = 'rgb(255 226 170 / 55%)';
      for (let line = 0; line < 26; line += 1) {
        const y = height * 0.64 + line * line * 0.55;
        const half = 18 + ((line * 37) % 60) + line * 2;
        draw.lineWidth = 1 + line / 9;
        draw.beginPath();
        draw.moveTo(width * 0.6 - half, y);
        draw.lineTo(width * 0.6 + half, y);
        draw.stroke();
      }
      draw.fillStyle = '#1b2440';
      draw.beginPath();
      draw.moveTo(0, height * 0.62);
      draw.lineTo(width * 0.12, height * 0.5);
      draw.lineTo(width * 0.2, height * 0.56);
      draw.lineTo(width * 0.3, height * 0.47);
      draw.lineTo(width * 0.42, height * 0.62);
      draw.fill();
      return canvas.toDataURL('image/png').split(',')[1]!;
    },
    [width, height] as const,
  );
  return { name: 'sunset.png', mimeType: 'image/png', buffer: Buffer.from(base64, 'base64') };
}
