import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** The line between browsers and a node: it can stall for who is connected, and it can be cut. */
export class Line {
  readonly #pairs = new Set<readonly [browser: Socket, node: Socket]>();
  #isCut = false;

  private constructor(
    private readonly server: Server,
    private readonly target: URL,
  ) {}

  static async to(url: string): Promise<Line> {
    const server = createServer();
    const line = new Line(server, new URL(url));
    server.on('connection', (browser) => line.#connected(browser));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return line;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as { port: number }).port}`;
  }

  /** Nothing of what the node says comes any more to those who are connected now. */
  stall(): void {
    for (const [browser, node] of this.#pairs) node.unpipe(browser).pause();
  }

  flow(): void {
    for (const [browser, node] of this.#pairs) node.pipe(browser);
  }

  /** All connections break, and none comes about. */
  cut(): void {
    this.#isCut = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  close(): void {
    this.cut();
    this.server.close();
  }

  #connected(browser: Socket): void {
    if (this.#isCut) return void browser.destroy();
    const node = connect(Number(this.target.port), this.target.hostname);
    const pair = [browser, node] as const;
    this.#pairs.add(pair);
    browser.pipe(node).pipe(browser);
    for (const [socket, other] of [pair, [node, browser] as const]) {
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#pairs.delete(pair);
        other.destroy();
      });
    }
  }
}
