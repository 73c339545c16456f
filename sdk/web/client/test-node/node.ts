// A real node, in a process of its own, on free ports and a folder of its own: TIDINGS_BIN names the binary.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket as NodeSocket } from 'ws';
import { Client, type ClientOptions, type SocketLike } from '../src/index.js';
import { Browser, type Page } from '../test/support/browser.js';
import { DEADLINE } from '../test/support/deadline.js';
import { Gateway } from '../test/support/gateway.js';

const LISTENERS = ['gateway.listen', 'control_plane.listen', 'cluster.listen', 'admin.listen'];
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export class Node {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidings-web-'));
  #process: ChildProcess | undefined;

  private constructor(
    /** In the order of LISTENERS. */
    private readonly addresses: readonly string[],
    private readonly settings: string[],
  ) {}

  /** A node with `section.key=value` settings, ready. */
  static async start(...settings: string[]): Promise<Node> {
    const node = new Node(ownAddresses(), settings);
    await node.launch();
    return node;
  }

  /** Also again, on the same ports and folder. */
  async launch(): Promise<void> {
    const binary = process.env.TIDINGS_BIN;
    if (!binary)
      throw new Error(
        'TIDINGS_BIN has to name the server: scripts/cargo build --bin tidings, then TIDINGS_BIN=…/debug/tidings',
      );
    const addresses = LISTENERS.map((key, index) => `${key}=${this.addresses[index]}`);
    const host = this.addresses[0]?.split(':')[0];
    const settings = [...addresses, `cluster.advertise=${host}`, ...this.settings].flatMap((setting) => [
      '--set',
      setting,
    ]);
    const log = openSync(this.#log, 'a');
    const started = spawn(binary, ['standalone', '--data', join(this.#folder, 'data'), ...settings], {
      stdio: ['ignore', log, log],
    });
    this.#process = started;
    const deadline = Date.now() + DEADLINE * 2;
    // Nothing outside the process announces that it is ready: it has to be asked.
    while (!(await fetch(`http://${this.addresses[3]}/readyz`).catch(() => undefined))?.ok) {
      if (started.exitCode !== null || started.signalCode !== null || Date.now() > deadline) {
        throw new Error(`the node is not ready:\n${readFileSync(this.#log, 'utf8').slice(-4000)}`);
      }
      await pause(20);
    }
  }

  /** What it had in memory is gone. */
  async kill9(): Promise<void> {
    const ended = new Promise((resolve) => this.#process?.once('exit', resolve));
    this.#process?.kill('SIGKILL');
    await ended;
    this.#process = undefined;
  }

  async end(): Promise<void> {
    if (this.#process) await this.kill9();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get url(): string {
    return `ws://${this.addresses[0]}`;
  }

  /** A token of a user, who is made when new. */
  async token(user: string): Promise<{ id: string; secret: string }> {
    await this.#api('POST', 'users', { id: user });
    const { token, secret } = (await this.#api('POST', `users/${user}/tokens`, {})) as {
      token: { id: string };
      secret: string;
    };
    return { id: token.id, secret };
  }

  async revoke(user: string, token: string): Promise<void> {
    await this.#api('DELETE', `users/${user}/tokens/${token}`);
  }

  /** How many connections the gateway closed with this code. */
  async closed(code: string): Promise<number> {
    const page = await (await fetch(`http://${this.addresses[3]}/metrics`)).text();
    return Number(new RegExp(`^tidings_gateway_closes_total\\{code="${code}"\\} (\\d+)$`, 'm').exec(page)?.[1] ?? 0);
  }

  async #api(method: string, path: string, body?: object): Promise<unknown> {
    const key = readFileSync(join(this.#folder, 'data', 'operator.key'), 'utf8').trim();
    const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
    const url = `http://${this.addresses[1]}/v1/apps/default/${path}`;
    const response = await fetch(url, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  get #log(): string {
    return join(this.#folder, 'log');
  }
}

/** Below the ports that the kernel gives to outgoing connections: a node that starts again finds its own free. */
const FIRST_PORT = 20_000;
let nodes = 0;

/** A loopback address of this process's own, and ports of this node's own. */
function ownAddresses(): string[] {
  const { pid } = process;
  const host = `127.${0x40 | ((pid >> 16) & 0x3f)}.${(pid >> 8) & 0xff}.${pid & 0xff}`;
  const first = FIRST_PORT + 10 * nodes++;
  return LISTENERS.map((_, index) => `${host}:${first + index}`);
}

/** A page whose sockets are real. */
export interface RealPage extends Page {
  /** What the server says does not reach the page any more; what the page says does reach the server. */
  deafen: () => void;
  /** The page's sockets. */
  sockets: Set<NodeSocket>;
}

export function page(browser: Browser): RealPage {
  const fake = browser.page(new Gateway(), fetch);
  const crashPage = fake.crash;
  const sockets = new Set<NodeSocket>();
  let deaf = false;
  class PageSocket extends NodeSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.add(this);
      this.once('close', () => sockets.delete(this));
    }

    override emit(event: string | symbol, ...args: unknown[]): boolean {
      return deaf && event === 'message' ? false : super.emit(event, ...args);
    }
  }
  fake.environment.WebSocket = PageSocket as unknown as new (url: string, protocols: string[]) => SocketLike;
  const crash = () => {
    for (const socket of sockets) {
      socket.onmessage = socket.onclose = socket.onopen = null;
      socket.on('error', () => {});
      socket.terminate();
    }
    crashPage();
  };
  return Object.assign(fake, { sockets, deafen: () => (deaf = true), crash });
}

/** A client of a user that connects, on a page of its own. */
export function connect(
  node: Node,
  secret: string,
  at: Page = page(new Browser()),
  options: Partial<ClientOptions> = {},
): Client {
  const getToken = async () => secret;
  const client = new Client({ url: node.url, getToken, backoff: { first: 50, last: 200 }, ...options }, at.environment);
  client.connect();
  return client;
}
