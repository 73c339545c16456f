import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEADLINE_MS, Node } from './src/node.js';
import { launch, newContext } from './src/people.js';

const TUTORIAL = readFileSync(new URL('../../../docs/tutorial.md', import.meta.url), 'utf8');
/** Below the workspace, whose packages stand for those that the reader installs from its folder. */
const FOLDER = fileURLToPath(new URL('./test-results/tutorial/', import.meta.url));

let node: Node;
let browser: Browser;
let server: ChildProcess;
let address: string;

/** The blocks of code that say which file they are, or `run`. */
function blocks(): Map<string, string> {
  return new Map(
    [...TUTORIAL.matchAll(/^```\w+ (\S+)\n([\s\S]*?)^```$/gm)].map((match) => [match[1] ?? '', match[2] ?? '']),
  );
}

/** Below those that the kernel gives to outgoing connections: nobody takes it before the backend does. */
async function unusedPort(): Promise<number> {
  for (let port = 21_000 + (process.pid % 10_000); ; port += 1) {
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}

beforeAll(async () => {
  node = await Node.start();
  browser = await launch();
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(`${FOLDER}package.json`, '{"type":"module","private":true}');
  for (const [name, code] of blocks()) if (name !== 'run') writeFileSync(`${FOLDER}${name}`, code);
  const [build, serve] = (blocks().get('run') ?? '').trim().split('\n');
  const [program = '', ...words] = build?.split(' ') ?? [];
  execFileSync(program, words, { cwd: FOLDER, stdio: 'pipe' });
  expect(serve).toMatch(/^TIDINGS_KEY=\$\(cat \S+\) node server\.mjs$/);
  const port = await unusedPort();
  address = `http://127.0.0.1:${port}`;
  const env = { ...process.env, ...node.environment, TIDINGS_KEY: node.operatorKey, PORT: String(port) };
  server = spawn('node', ['server.mjs'], { cwd: FOLDER, stdio: 'inherit', env });
  const deadline = Date.now() + DEADLINE_MS;
  while (
    !(await fetch(`${address}/`).then(
      (answer) => answer.ok,
      () => false,
    ))
  ) {
    if (Date.now() > deadline) throw new Error('the backend of the tutorial does not answer');
    await pause(50);
  }
});

afterAll(async () => {
  server?.kill();
  await browser?.close();
  await node?.stop();
});

test('what the tutorial says makes a chat', async () => {
  const visitor = await (await newContext(browser)).newPage();
  const support = await (await newContext(browser)).newPage();
  await visitor.goto(`${address}/?user=visitor`);
  await support.goto(`${address}/?user=support`);
  for (const page of [visitor, support])
    await page.locator('tidings-status[state=connected]').waitFor({ state: 'attached' });
  const field = (page: typeof visitor) => page.getByRole('textbox', { name: 'Write a message' });
  await field(visitor).fill('Do you ship to Iceland?');
  await field(visitor).press('Enter');
  await support.bringToFront();
  await support.locator('.row', { hasText: 'Do you ship to Iceland?' }).waitFor();
  await visitor.locator('.row[data-status=read]', { hasText: 'Iceland' }).waitFor();
  await field(support).fill('We do, every Tuesday.');
  await field(support).press('Enter');
  await visitor.locator('.row', { hasText: 'every Tuesday' }).waitFor();
  await visitor.reload();
  await visitor.locator('.row', { hasText: 'every Tuesday' }).waitFor();
});
