// The backend of the example: it makes the group, lets in whoever opens the page, serves the page, and runs the feed. Its API key never leaves it.
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startFeed } from './feed.mjs';

const {
  TIDINGS_URL = 'http://127.0.0.1:7701',
  TIDINGS_GATEWAY = 'ws://127.0.0.1:7700',
  // As browsers find it, where that is another address.
  TIDINGS_PUBLIC_GATEWAY = TIDINGS_GATEWAY,
  TIDINGS_KEY = '',
  PORT = '8080',
  RATE = '50',
  PADDING = '0',
} = process.env;
const GROUP = 'prices';
const FEED = 'price-feed';
const DIST = fileURLToPath(new URL('dist', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css' };
/** A token is asked for again when it is at its end: the page does that by itself. */
const TOKEN_SECONDS = 3600;

/** @param {string} path @param {object} body @returns {Promise<any>} */
async function tidings(path, body) {
  const headers = { Authorization: `Bearer ${TIDINGS_KEY}`, 'Content-Type': 'application/json' };
  const answer = await fetch(`${TIDINGS_URL}/v1/apps/default/${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(`${path}: ${said.message ?? answer.status}`), { code: said.code });
  return said;
}

/** @param {string} user */
async function token(user) {
  return (await tidings(`users/${user}/tokens`, { ttlSeconds: TOKEN_SECONDS })).secret;
}

/** Plain members of an announcement group receive, and cannot send: that is for the feed alone. */
async function found() {
  await tidings('users', { id: FEED });
  const group = { id: GROUP, displayName: 'Prices', kind: 'ANNOUNCEMENT' };
  await tidings('groups', { group, members: [{ user: FEED, role: 'OWNER' }] }).catch((error) => {
    if (error.code !== 'ALREADY_EXISTS') throw error;
  });
}

/** Here anybody may read along under a name of their own; in earnest, whoever your own sign-in says. @param {string} name */
async function admit(name) {
  const user = `reader-${name}`;
  // Creating whom there is already, and adding who is in it already, is no error.
  await tidings('users', { id: user });
  await tidings(`groups/${GROUP}/members`, { members: [{ user }] });
  return {
    user,
    group: GROUP,
    gateway: TIDINGS_PUBLIC_GATEWAY,
    token: await token(user),
    expiresInSeconds: TOKEN_SECONDS,
  };
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  `connect-src 'self' ${new URL(TIDINGS_PUBLIC_GATEWAY).protocol}//${new URL(TIDINGS_PUBLIC_GATEWAY).host}`,
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  try {
    if (pathname === '/session' && request.method === 'POST') {
      const name = searchParams.get('name') ?? '';
      if (!/^[a-z0-9-]{1,32}$/.test(name))
        return void response.writeHead(400).end('a name is 1 to 32 of a-z, 0-9 and -');
      response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
      return void response.end(JSON.stringify(await admit(name)));
    }
    const file = join(DIST, normalize(pathname === '/' ? '/index.html' : pathname));
    const type = TYPES[/** @type {keyof typeof TYPES} */ (extname(file))];
    if (!type || !file.startsWith(DIST) || !existsSync(file)) return void response.writeHead(404).end();
    response.writeHead(200, {
      'Content-Type': type,
      'Content-Security-Policy': POLICY,
      'X-Content-Type-Options': 'nosniff',
    });
    createReadStream(file).pipe(response);
  } catch (error) {
    console.error(error);
    if (!response.headersSent) response.writeHead(502);
    response.end();
  }
});

await found();
const feed = startFeed({
  url: TIDINGS_GATEWAY,
  getToken: () => token(FEED),
  group: GROUP,
  rate: Number(RATE),
  padding: Number(PADDING),
});
server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`);
});

let ending = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    if (ending) process.exit(1);
    ending = true;
    const last = await feed.stop();
    const { sent, refused, skipped } = feed.counts;
    console.log(`${sent} prices sent, ${refused} not taken, ${skipped} not worth sending`);
    console.log(
      JSON.stringify(Object.fromEntries(last.map(({ symbol, number, price }) => [symbol, { number, price }]))),
    );
    process.exit(0);
  });
}
