// The other end of a client's WebSockets, in the same process: a test sees what the client writes, and says what comes back.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { SocketLike } from '../../src/index.js';
import type { ValueOf } from '../../src/requests.js';
import {
  type ClientFrame,
  ClientFrameSchema,
  type Send,
  ServerFrameSchema,
  type ServerFrameSchema as ServerFrames,
  type WelcomeSchema,
} from '../gen/tidings/client/v1/client_pb.js';
import { within } from './deadline.js';

type ServerFrame = NonNullable<MessageInitShape<typeof ServerFrames>['frame']>;
type Body = ClientFrame['frame'];

/** Things that come, in order, to be waited for. */
export class Queue<T> {
  readonly #items: T[] = [];
  #waiting: ((item: T) => void)[] = [];

  push(item: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  }

  next(what: string): Promise<T> {
    const item = this.#items.shift();
    return item === undefined
      ? within(what, new Promise<T>((resolve) => this.#waiting.push(resolve)))
      : Promise.resolve(item);
  }

  get length(): number {
    return this.#items.length;
  }
}

/** One connection of a client, from the gateway's side. */
export class Session {
  readonly frames = new Queue<Body>();
  closed = false;
  readonly #passed: Body[] = [];

  constructor(private readonly socket: FakeSocket) {}

  /** The next frame of a kind; others are kept for those who ask for them. */
  async next<C extends NonNullable<Body['case']>>(kind: C): Promise<ValueOf<Body, C>> {
    const found = this.#passed.findIndex((frame) => frame.case === kind);
    if (found >= 0) return this.#passed.splice(found, 1)[0]?.value as ValueOf<Body, C>;
    for (;;) {
      const frame = await this.frames.next(`the client writes ${kind}`);
      if (frame.case === kind) return frame.value as ValueOf<Body, C>;
      this.#passed.push(frame);
    }
  }

  write(frame: ServerFrame): void {
    this.socket.hear(toBinary(ServerFrameSchema, create(ServerFrameSchema, { frame })));
  }

  close(code: number, reason = ''): void {
    this.closed = true;
    this.socket.end(code, reason);
  }

  /** Takes the hello, and welcomes. */
  async welcome(welcome: MessageInitShape<typeof WelcomeSchema> = {}) {
    const hello = await this.next('hello');
    const user = { app: 'default', user: 'alice', mailboxEpoch: 3n, stream: 77826n };
    const limits = { sendWindow: 256, maxFrameBytes: 135_168, heartbeatMs: 30_000 };
    const value = {
      version: 1,
      ...user,
      ...limits,
      cursor: hello.resume?.cursor ?? 0n,
      tail: hello.resume?.cursor ?? 0n,
      ...welcome,
    };
    this.write({ case: 'welcome', value });
    return hello;
  }

  async accept(): Promise<Send> {
    const send = await this.next('send');
    this.accepted(send);
    return send;
  }

  accepted({ seq }: Pick<Send, 'seq'>): void {
    this.write({ case: 'accepted', value: { seq, sentAtMs: 1_000n, durability: 2 } });
  }
}

export class Gateway {
  readonly sessions = new Queue<Session>();
  readonly urls: string[] = [];
  /** While it is away, no connection comes about. */
  away = false;

  /** For the environment of one page; its sockets end with `crash`. */
  page(): { WebSocket: new (url: string, protocols: string[]) => SocketLike; crash: () => void } {
    const gateway = this;
    const sockets = new Set<FakeSocket>();
    class PageSocket extends FakeSocket {
      constructor(url: string) {
        super();
        gateway.urls.push(url);
        sockets.add(this);
        this.closedByClient = () => sockets.delete(this);
        queueMicrotask(() => {
          if (gateway.away) return this.end(1006, '');
          const session = new Session(this);
          this.heard = (frame) => session.frames.push(fromBinary(ClientFrameSchema, frame).frame);
          gateway.sessions.push(session);
          this.onopen?.(undefined as never);
        });
      }
    }
    const crash = () => {
      for (const socket of sockets) socket.die();
    };
    return { WebSocket: PageSocket, crash };
  }

  next(): Promise<Session> {
    return this.sessions.next('a client connects');
  }
}

class FakeSocket implements SocketLike {
  binaryType = 'blob';
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  heard: (frame: Uint8Array) => void = () => {};
  closedByClient: () => void = () => {};

  send(data: Uint8Array): void {
    const copy = data.slice();
    queueMicrotask(() => this.heard(copy));
  }

  close(): void {
    this.closedByClient();
    this.heard = () => {};
  }

  hear(frame: Uint8Array): void {
    queueMicrotask(() => this.onmessage?.({ data: frame.slice().buffer } as never));
  }

  end(code: number, reason: string): void {
    queueMicrotask(() => this.onclose?.({ code, reason } as never));
  }

  /** The page is gone: nothing it does has an effect any more. */
  die(): void {
    this.onopen = this.onmessage = this.onclose = this.onerror = null;
    this.heard = () => {};
  }
}
