import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Whatever is waited for has to be there by then, on a machine that does much else. */
export const DEADLINE_MS = 60_000;
const LISTENERS = ['gateway.listen', 'control_plane.listen', 'cluster.listen', 'admin.listen'];
const run = promisify(execFile);

function binary(): string {
  const path = process.env.TIDINGS_BIN;
  if (!path)
    throw new Error(
      'TIDINGS_BIN has to name the server: scripts/cargo build --bin tidings, then TIDINGS_BIN=…/debug/tidings',
    );
  return path;
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

/** A whole node in a process and a folder of its own. */
export class Node {
  #process: ChildProcess | undefined;
  readonly #folder = mkdtempSync(join(tmpdir(), 'tidings-web-'));

  private constructor(
    /** In the order of LISTENERS. */
    private readonly addresses: readonly string[],
    private readonly settings: readonly string[],
  ) {}

  static async start(...settings: string[]): Promise<Node> {
    const node = new Node(ownAddresses(), settings);
    await node.launch();
    return node;
  }

  /** Where a browser finds the app. */
  get origin(): string {
    return `http://${this.addresses[0]}`;
  }

  /** Where a client connects. */
  get gateway(): string {
    return `ws://${this.addresses[0]}`;
  }

  get log(): string {
    return readFileSync(join(this.#folder, 'log'), 'utf8');
  }

  /** Starts the process, on the same ports and folder as before, and waits until it is ready. */
  async launch(): Promise<void> {
    const log = openSync(join(this.#folder, 'log'), 'a');
    const listeners = LISTENERS.flatMap((key, index) => ['--set', `${key}=${this.addresses[index]}`]);
    const host = this.addresses[0]?.split(':')[0];
    const settings = [`cluster.advertise=${host}`, ...this.settings].flatMap((setting) => ['--set', setting]);
    const started = spawn(binary(), ['standalone', '--data', join(this.#folder, 'data'), ...listeners, ...settings], {
      stdio: ['ignore', log, log],
    });
    this.#process = started;
    closeSync(log);
    const deadline = Date.now() + DEADLINE_MS;
    // Nothing outside of the process announces that it is ready: it has to be asked.
    while (
      !(await fetch(`http://${this.addresses[3]}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      ))
    ) {
      if (started.exitCode !== null || started.signalCode !== null)
        throw new Error(`the node ended while starting:\n${this.log.slice(-4000)}`);
      if (Date.now() > deadline) throw new Error(`the node is not ready:\n${this.log.slice(-4000)}`);
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
  get environment(): { TIDINGS_URL: string; TIDINGS_GATEWAY: string } {
    return { TIDINGS_URL: `http://${this.addresses[1]}`, TIDINGS_GATEWAY: this.gateway };
  }

  /** What the node counted under this name, all labels together. */
  async metric(name: string): Promise<number> {
    const lines = (await (await fetch(`http://${this.addresses[3]}/metrics`)).text()).split('\n');
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
    const { TIDINGS_URL, TIDINGS_GATEWAY } = this.environment;
    const env = { TIDINGS_CONTROL: TIDINGS_URL, TIDINGS_API_KEY_FILE: this.#keyFile, TIDINGS_GATEWAY };
    const { stdout } = await run(binary(), words, { env: { ...process.env, ...env } });
    return stdout.trim();
  }
}
