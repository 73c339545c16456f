import { decodeFrame, type ServerFrameBody } from '../core/codec.js';
import type { Environment, SocketLike } from './environment.js';

const SUBPROTOCOL = 'tidings.v1.protobuf';
const PATH = '/v1/connect';

export interface SocketEvents {
  opened: () => void;
  frame: (frame: ServerFrameBody) => void;
  /** Once, as the last event; not after `drop`. */
  closed: (code: number | undefined, reason: string) => void;
}

/** One WebSocket to a gateway. */
export class Socket {
  readonly #socket: SocketLike;

  constructor(environment: Environment, url: string, events: SocketEvents) {
    const socket = new environment.WebSocket(url, [SUBPROTOCOL]);
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => events.opened();
    // What is wrong is told by `onclose`; some implementations throw where nobody listens.
    socket.onerror = () => {};
    socket.onclose = (({ code, reason }: { code: number; reason: string }) => {
      this.#detach();
      events.closed(code, reason || `the connection ended (${code})`);
    }) as never;
    socket.onmessage = (({ data }: { data: unknown }) => {
      let frame: ServerFrameBody;
      try {
        frame = decodeFrame(new Uint8Array(data as ArrayBuffer));
      } catch (error) {
        this.drop();
        return events.closed(undefined, `the gateway sent what is no frame: ${error}`);
      }
      events.frame(frame);
    }) as never;
  }

  write(frame: Uint8Array): void {
    this.#socket.send(frame);
  }

  /** Closes it; nothing is heard of it any more. */
  drop(): void {
    this.#detach();
    this.#socket.close();
  }

  #detach(): void {
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
  }
}

/** The WebSocket's address; `https` stands for `wss`. @throws TypeError when it is none. */
export function gatewayUrl(given: string): string {
  const url = new URL(given);
  url.protocol = url.protocol.replace(/^http/, 'ws');
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw new TypeError(`${given} is no address of a gateway`);
  if (url.pathname === '/') url.pathname = PATH;
  return url.href;
}
