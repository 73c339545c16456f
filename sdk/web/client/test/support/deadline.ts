import type { Client, ClientEvents, EventName } from '../../src/index.js';

/** The longest that a step of a test may take, on a busy machine. */
export const DEADLINE = 30_000;

/** Waits for something that must happen; names it when it does not. */
export function within<T>(what: string, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`did not happen within ${DEADLINE} ms: ${what}`)), DEADLINE);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** The next event for which `wanted` holds. */
export function next<N extends EventName>(
  client: Client,
  event: N,
  wanted: (context: ClientEvents[N]) => boolean = () => true,
): Promise<ClientEvents[N]> {
  const came = new Promise<ClientEvents[N]>((resolve) => {
    const end = client.on(event, (context) => {
      if (wanted(context)) {
        end();
        resolve(context);
      }
    });
  });
  return within(`${event}: ${wanted}`, came);
}

/** Until the client is in a state, at once if it is. */
export async function reaches(client: Client, state: Client['state']['state']): Promise<Client['state']> {
  if (client.state.state !== state) await next(client, 'stateChanged', (context) => context.state === state);
  return client.state;
}
