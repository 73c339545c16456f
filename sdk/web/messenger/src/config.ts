/** What the gateway says about itself. */
export interface Config {
  /** The path or address of the WebSocket. */
  readonly websocket: string;
  /** Anybody may sign in with a name. */
  readonly demo: boolean;
  /** Files can be sent. */
  readonly files: boolean;
  readonly app: string;
}

export async function loadConfig(): Promise<Config> {
  const answer = await fetch('/config.json');
  if (!answer.ok) throw new Error(`/config.json: ${answer.status}`);
  const told = (await answer.json()) as Partial<Config>;
  return {
    websocket: told.websocket ?? '/v1/connect',
    demo: told.demo === true,
    files: told.files === true,
    app: told.app ?? '',
  };
}

/** The address that the client connects to. */
export function websocketUrl(config: Config): string {
  const url = new URL(config.websocket, location.href);
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:';
  return url.href;
}
