// Publishes prices to a group on the transient channel: who is online gets them, nobody keeps them, and of each symbol a slow reader is given the
// newest.
import { Client } from '@tidings/client';
import { WebSocket } from 'ws';
import { Market } from './market.mjs';

// Node 20 has none of its own.
globalThis.WebSocket ??= /** @type {any} */ (WebSocket);

/** `Content.type` of a price: what is not 0 is the application's own, and no text for a chat. */
export const PRICE = 7001;
/** Prices that the server has not answered; beyond it the next ones are not worth sending. */
const UNANSWERED = 200;
const TICK_MS = 5;

/**
 * @typedef {object} FeedOptions
 * @property {string} url
 * @property {() => Promise<string>} getToken
 * @property {string} group
 * @property {number} rate Prices a second, of all symbols together.
 * @property {number} padding Bytes that each price has more than it needs: to see what a slow reader is given.
 */

/** @param {FeedOptions} options */
export function startFeed({ url, getToken, group, rate, padding }) {
  // Without a device it only sends: nothing, also not what it sent, is delivered to it.
  const client = new Client({ url, getToken, device: '', storage: 'memory', agent: 'tidings-example-feed' });
  const market = new Market();
  const life = String(Date.now());
  const data = new Uint8Array(padding);
  const counts = { sent: 0, refused: 0, skipped: 0 };
  /** @type {Set<Promise<unknown>>} */
  const unanswered = new Set();

  /** @param {import('./market.mjs').Quote} quote */
  const publish = ({ symbol, price, open, number }) => {
    const fields = {
      symbol,
      price: String(price),
      open: String(open),
      number: String(number),
      life,
      at: String(Date.now()),
    };
    const { sent } = client.send({ group, ttlMs: 0, conflationKey: symbol, content: { type: PRICE, fields, data } });
    const answer = sent.then(
      () => (counts.sent += 1),
      (error) => {
        counts.refused += 1;
        if (counts.refused === 1) console.error(`A price was not taken: ${error.message}`);
      },
    );
    unanswered.add(answer);
    answer.finally(() => unanswered.delete(answer));
    return answer;
  };

  const began = performance.now();
  let due = 0;
  const timer = setInterval(() => {
    const now = Math.floor(((performance.now() - began) / 1000) * rate);
    for (; due < now; due += 1) {
      // A price that waits is an old one: it is better not sent.
      if (client.state.state === 'connected' && unanswered.size < UNANSWERED) publish(market.move());
      else counts.skipped += 1;
    }
  }, TICK_MS);
  client.on('stateChanged', ({ state, error }) => {
    if (state === 'stopped') console.error(`The feed is not let in: ${error}`);
  });
  client.connect();

  return {
    counts,
    /** Ends with one more price of each symbol, which whoever lags comes to as well; answers the last quotes. */
    async stop() {
      clearInterval(timer);
      if (client.state.state === 'connected') {
        await Promise.all(unanswered);
        for (const { symbol } of market.quotes) await publish(market.quote(/** @type {any} */ (symbol)));
      }
      await client.close();
      return market.quotes;
    },
  };
}
