// What tests of the client against a real node need beside it: users, tokens, and pages whose sockets are real.
import { WebSocket as NodeSocket } from 'ws';
import { Node } from '../../tests/src/node.js';
import { Client, type ClientOptions, type SocketLike } from '../src/index.js';
import { Browser, type Page } from '../test/support/browser.js';
import { Gateway } from '../test/support/gateway.js';

export { Node };

async function api(node: Node, method: string, path: string, body?: object): Promise<unknown> {
  const headers = { Authorization: `Bearer ${node.operatorKey}`, 'Content-Type': 'application/json' };
  const url = `${node.environment.TIDINGS_URL}/v1/apps/default/${path}`;
  const response = await fetch(url, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** A token of a user, who is made when new. */
export async function tokenOf(node: Node, user: string): Promise<{ id: string; secret: string }> {
  await api(node, 'POST', 'users', { id: user });
  const { token, secret } = (await api(node, 'POST', `users/${user}/tokens`, {})) as {
    token: { id: string };
    secret: string;
  };
  return { id: token.id, secret };
}

export async function revoke(node: Node, user: string, token: string): Promise<void> {
  await api(node, 'DELETE', `users/${user}/tokens/${token}`);
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
  const client = new Client(
    { url: node.gateway, getToken, backoff: { first: 50, last: 200 }, ...options },
    at.environment,
  );
  client.connect();
  return client;
}
