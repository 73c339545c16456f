import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Whatever is waited for has to be there by then. */
export const DEADLINE_MS = 30_000;
const LISTENERS = ['gateway.listen', 'control_plane.listen', 'cluster.listen', 'admin.listen'];
const run = promisify(execFile);

function binary(): string {
  const path = process.env.TIDINGS_BIN;
  if (!path) throw new Error('TIDINGS_BIN names the binary to test');
  return path;
}

export async function unusedPorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A whole node in a process and a folder of its own. */
export class Node {
  #process: ChildProcess | undefined;
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidings-web-'));

  private constructor(
    private readonly ports: readonly number[],
    private readonly settings: readonly string[],
  ) {}

  static async start(...settings: string[]): Promise<Node> {
    const node = new Node(await unusedPorts(LISTENERS.length), settings);
    await node.launch();
    return node;
  }

  /** Where a browser finds the app. */
  get origin(): string {
    return `http://127.0.0.1:${this.ports[0]}`;
  }

  get log(): string {
    return readFileSync(join(this.#folder, 'log'), 'utf8');
  }

  /** Starts the process, on the same ports and folder as before, and waits until it is ready. */
  async launch(): Promise<void> {
    const log = openSync(join(this.#folder, 'log'), 'a');
    const listeners = LISTENERS.flatMap((key, index) => ['--set', `${key}=127.0.0.1:${this.ports[index]}`]);
    const settings = ['cluster.advertise=127.0.0.1', ...this.settings].flatMap((setting) => ['--set', setting]);
    const started = spawn(binary(), ['standalone', '--data', join(this.#folder, 'data'), ...listeners, ...settings], {
      stdio: ['ignore', log, log],
    });
    this.#process = started;
    closeSync(log);
    const deadline = Date.now() + DEADLINE_MS;
    // Nothing outside of the process announces that it is ready: it has to be asked.
    while (
      !(await fetch(`http://127.0.0.1:${this.ports[3]}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      ))
    ) {
      if (started.exitCode !== null || started.signalCode !== null)
        throw new Error(`the node ended while starting:\n${this.log.slice(-2000)}`);
      if (Date.now() > deadline) throw new Error(`the node is not ready:\n${this.log.slice(-2000)}`);
      await pause(50);
    }
  }

  /** `kill -9`: what it had in memory is gone. */
  async kill9(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (!process || process.exitCode !== null) return;
    const ended = once(process, 'exit');
    process.kill('SIGKILL');
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill9();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Where backends and clients find it. */
  get environment(): Record<string, string> {
    return { TIDINGS_URL: `http://127.0.0.1:${this.ports[1]}`, TIDINGS_GATEWAY: `ws://127.0.0.1:${this.ports[0]}` };
  }

  /** What the node counted under this name, all labels together. */
  async metric(name: string): Promise<number> {
    const lines = (await (await fetch(`http://127.0.0.1:${this.ports[3]}/metrics`)).text()).split('\n');
    const values = lines.filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  get operatorKey(): string {
    return readFileSync(this.#keyFile, 'utf8').trim();
  }

  get #keyFile(): string {
    return join(this.#folder, 'data', 'operator.key');
  }

  /** The operator's command line against this node. */
  async cli(...words: string[]): Promise<string> {
    const { TIDINGS_URL = '', TIDINGS_GATEWAY = '' } = this.environment;
    const env = { TIDINGS_CONTROL: TIDINGS_URL, TIDINGS_API_KEY_FILE: this.#keyFile, TIDINGS_GATEWAY };
    const { stdout } = await run(binary(), words, { env: { ...process.env, ...env } });
    return stdout.trim();
  }
}
