/** What the state machine is told once; times in milliseconds. */
export interface Config {
  device: string;
  appId: string;
  agent: string;
  /** Ceiling of the first, and of every, wait before a reconnect. */
  firstBackoff: number;
  lastBackoff: number;
  /** After so long online, the back-off begins anew. */
  stableAfter: number;
  /** From the attempt to connect to `Welcome`. */
  handshakeTimeout: number;
  /** A send without an answer for so long ends the connection, and goes out again on the next one. */
  answerTimeout: number;
  /** Acknowledgements within this time go together. */
  ackDelay: number;
  /** The server's pings are not seen (in a browser): silence is asked about, and ends the connection when nothing comes back for so long. Undefined: they are seen, and silence alone ends it. */
  pongTimeout: number | undefined;
  /** When the server lost the stream: send again what may have been sent already. */
  resendUnknown: boolean;
  /** A token that has expired is worth asking for another one, once for each connection. */
  refreshToken: boolean;
  /** Whether changes are worth persisting. */
  persist: boolean;
  /** Of the jitter: uniform in [0, 1). */
  random: () => number;
}

export const DEFAULT_CONFIG: Config = {
  device: '',
  appId: '',
  agent: 'tidings-web/0.1.0',
  firstBackoff: 500,
  lastBackoff: 20_000,
  stableAfter: 10_000,
  handshakeTimeout: 10_000,
  answerTimeout: 30_000,
  ackDelay: 5,
  pongTimeout: 10_000,
  resendUnknown: false,
  refreshToken: true,
  persist: true,
  random: Math.random,
};
