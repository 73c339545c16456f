import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { seriousFaults } from './src/axe.js';
import { Line } from './src/line.js';
import { DEADLINE_MS, Node } from './src/node.js';
import { complaintsOf, launch, newContext } from './src/people.js';
import { shoot } from './src/pictures.js';

const EXAMPLES = fileURLToPath(new URL('../examples/', import.meta.url));
const SYMBOLS = 10;
/** Updates that find a newer one in their place before a slow page is no longer slow. */
const CONFLATED = 200;

let node: Node;
let browser: Browser;
let line: Line;
let example: Example | undefined;

beforeAll(async () => {
  execFileSync('npm', ['run', 'build'], { cwd: EXAMPLES, stdio: 'pipe' });
  // Nobody is to be closed for being slow.
  node = await Node.start(
    ...['gateway.write_timeout_ms=300000', 'gateway.heartbeat_ms=120000', 'gateway.sends_per_second=0'],
  );
  line = await Line.to(node.origin);
  browser = await launch();
});

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  line.mend();
  example?.kill();
  example = undefined;
});

afterAll(async () => {
  await browser?.close();
  line?.close();
  await node?.stop();
});

/** The example's backend, as it is run by hand. */
class Example {
  private constructor(
    private readonly process: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly address: string,
  ) {}

  static async start(settings: Record<string, string> = {}): Promise<Example> {
    const env = { ...process.env, ...node.environment, TIDINGS_KEY: node.operatorKey, PORT: '0', ...settings };
    const started = spawn('node', ['prices/backend.mjs'], {
      cwd: EXAMPLES,
      env: { ...env, TIDINGS_PUBLIC_GATEWAY: line.url },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface(started.stdout)[Symbol.asyncIterator]();
    const { value } = await lines.next();
    if (!value) throw new Error('the example does not start');
    example = new Example(started, lines, value);
    return example;
  }

  /** The last quote of each symbol, when the feed has ended. */
  async stop(): Promise<Record<string, { number: number; price: number }>> {
    this.process.kill('SIGTERM');
    await this.lines.next();
    const { value } = await this.lines.next();
    if (this.process.exitCode === null) await once(this.process, 'exit');
    return JSON.parse(value ?? 'null');
  }

  kill(): void {
    this.process.kill('SIGKILL');
  }
}

async function reader(address: string, name: string): Promise<Page> {
  const page = await (await newContext(browser, { width: 900, height: 900 })).newPage();
  await page.goto(`${address}?name=${name}`);
  await page.locator('body[data-state=live]').waitFor();
  await page
    .locator('#rows tr')
    .nth(SYMBOLS - 1)
    .waitFor();
  return page;
}

const figure = async (page: Page, id: string) => Number((await page.locator(`#${id}`).innerText()).replaceAll(',', ''));

/** How many quotes of each symbol the page knows of. */
function numbers(page: Page): Promise<Record<string, number>> {
  return page
    .locator('#rows tr')
    .evaluateAll((rows) =>
      Object.fromEntries(
        (rows as HTMLElement[]).map(({ dataset }) => [dataset.symbol ?? '', Number(dataset.number)] as const),
      ),
    );
}

const soon = { timeout: DEADLINE_MS, interval: 50 };

test('prices move; without a connection the page says so, and goes on with the newest when it is back', async () => {
  const { address } = await Example.start();
  const page = await reader(address, 'ada');
  const before = await numbers(page);
  await expect
    .poll(
      async () => Object.entries(await numbers(page)).filter(([name, number]) => number > (before[name] ?? 0)).length,
      soon,
    )
    .toBe(SYMBOLS);
  expect(await figure(page, 'received')).toBeGreaterThan(SYMBOLS);
  await expect.poll(() => figure(page, 'per-second'), soon).toBeGreaterThan(0);
  expect(await figure(page, 'missed')).toBe(0);

  line.cut();
  await page.locator('#notice').getByText('the connection is lost, and comes back by itself').waitFor();
  await page.locator('#state').getByText('Reconnecting…').waitFor();
  const then = await numbers(page);
  line.mend();
  await page.locator('body[data-state=live]').waitFor();
  await expect
    .poll(
      async () => Object.entries(await numbers(page)).filter(([name, number]) => number > (then[name] ?? 0)).length,
      soon,
    )
    .toBe(SYMBOLS);
  // What went by in the meantime is gone, and counted.
  expect(await figure(page, 'missed')).toBeGreaterThan(0);
  await page.locator('#notice').waitFor({ state: 'hidden' });
  expect(complaintsOf(page.context())).toEqual([]);
});

test('a page that is slow is given the newest price of each symbol', async () => {
  const started = await Example.start({ RATE: '400', PADDING: '16384' });
  const slow = await reader(started.address, 'slow');
  line.stall();
  await expect
    .poll(() => node.metric('tidings_gateway_transients_conflated_total'), { ...soon, timeout: 2 * DEADLINE_MS })
    .toBeGreaterThan(CONFLATED);
  const last = await started.stop();
  const newest = Object.fromEntries(Object.entries(last).map(([symbol, { number }]) => [symbol, number]));
  expect(Object.keys(newest).length).toBe(SYMBOLS);
  expect(await numbers(slow)).not.toEqual(newest);
  line.flow();
  await expect.poll(() => numbers(slow), soon).toEqual(newest);
  expect(await figure(slow, 'conflated')).toBeGreaterThan(CONFLATED);
  expect(await figure(slow, 'missed')).toBe(0);
  // Nothing more comes, and the page says so.
  await slow.locator('#notice').getByText('the feed has said nothing since').waitFor();
  console.log('of a slow page', {
    received: await figure(slow, 'received'),
    conflated: await figure(slow, 'conflated'),
  });
});

test('the page has no serious fault, light and dark', async () => {
  const { address } = await Example.start();
  const page = await reader(address, 'cleo');
  await expect.poll(() => figure(page, 'received'), soon).toBeGreaterThan(300);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    expect(await seriousFaults(page)).toEqual([]);
    await shoot(page, `prices-${colorScheme}`);
  }
});
