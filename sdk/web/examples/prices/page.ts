// The page of the example: a reader of the group, and a table of the newest price of each symbol.
import { Client, type StateChanged } from '@tidings/client';
import { Board, quoteOf } from './board.js';
import { Table } from './table.js';

/** Without a price for so long, a page that is connected says that the feed is silent. */
const SILENT_MS = 3000;

interface Session {
  readonly user: string;
  readonly group: string;
  readonly gateway: string;
  readonly token: string;
  readonly expiresInSeconds: number;
}

const byId = (id: string) => document.getElementById(id) as HTMLElement;
const board = new Board();
const table = new Table(byId('rows') as HTMLTableSectionElement);
let connection: Pick<StateChanged, 'state' | 'error'> = { state: 'connecting', error: undefined };
let problem = '';
let drawing = false;

/** At most once for each frame of the screen, however much came. */
function draw(): void {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    show(Date.now());
  });
}

function show(now: number): void {
  const { rows, lastAt } = board;
  const connected = connection.state === 'connected';
  const silent = connected && lastAt !== undefined && now - lastAt > SILENT_MS;
  const state = connected ? (silent ? 'silent' : 'live') : connection.state === 'stopped' ? 'stopped' : 'connecting';
  document.body.dataset.state = state;
  const says = {
    live: 'Live',
    silent: 'No updates',
    stopped: 'Stopped',
    connecting: lastAt ? 'Reconnecting…' : 'Connecting…',
  };
  write('state', says[state]);
  write('notice', noticeOf(state, lastAt));
  const counts = board.counts(now);
  write('per-second', String(counts.perSecond));
  write('received', counts.received.toLocaleString('en'));
  write('conflated', counts.conflated.toLocaleString('en'));
  write('missed', counts.missed.toLocaleString('en'));
  table.show(rows);
  byId('empty').hidden = rows.length > 0;
}

function noticeOf(state: string, lastAt: number | undefined): string {
  if (problem) return problem;
  if (state === 'live' || lastAt === undefined) return state === 'stopped' ? (connection.error ?? '') : '';
  const from = `These prices are from ${new Date(lastAt).toLocaleTimeString('en-GB')}`;
  if (state === 'silent') return `${from}: the feed has said nothing since.`;
  if (state === 'stopped') return `${from}. ${connection.error ?? ''}`;
  return `${from}: the connection is lost, and comes back by itself.`;
}

function write(id: string, text: string): void {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** The name of this browser, so that a reload is the same reader. */
function nameHere(): string {
  const given = new URLSearchParams(location.search).get('name') ?? localStorage.getItem('prices.name');
  const name = given ?? crypto.randomUUID().slice(0, 8);
  localStorage.setItem('prices.name', name);
  return name;
}

async function session(): Promise<Session> {
  const answer = await fetch(`/session?name=${encodeURIComponent(nameHere())}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`the backend answered ${answer.status}`);
  return answer.json();
}

function follow(first: Session): void {
  let next: Session | undefined = first;
  const client = new Client({
    url: first.gateway,
    account: first.user,
    // Prices are worth nothing later: nothing of this client has to be kept, and each tab is a reader of its own.
    storage: 'memory',
    getToken: async () => {
      const { token, expiresInSeconds } = next ?? (await session());
      next = undefined;
      return { token, expiresAtMs: Date.now() + expiresInSeconds * 1000 };
    },
  });
  client.on('stateChanged', (changed) => {
    if (connection.state === 'connected' && changed.state !== 'connected') board.broke();
    connection = changed;
    draw();
  });
  client.on('messageReceived', ({ message, transient }) => {
    const quote = transient && message.group === first.group ? quoteOf(message.content?.fields) : undefined;
    if (quote && board.take(quote, Date.now())) draw();
  });
  client.connect();
  // Silence, too, is to be seen.
  setInterval(draw, 500);
}

async function begin(): Promise<void> {
  try {
    const first = await session();
    problem = '';
    follow(first);
  } catch (error) {
    problem = `The backend does not let this page in: ${error instanceof Error ? error.message : error}. Trying again…`;
    draw();
    setTimeout(begin, 2000);
  }
}

void begin();
