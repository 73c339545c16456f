// Keeps the shell of the app, so that it opens without a network. Messages are not here: the client keeps what it has to.
const SHELL = 'tidings-shell-1';
const ASSETS = 'tidings-assets-1';
const MOST_ASSETS = 60;

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(SHELL)
      .then((cache) => cache.addAll(['/', '/config.json', '/icon.svg', '/manifest.webmanifest']))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(
          names
            .filter((name) => name.startsWith('tidings-') && name !== SHELL && name !== ASSETS)
            .map((name) => caches.delete(name)),
        ),
      )
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  // Names of assets change with their content.
  if (url.pathname.startsWith('/assets/')) event.respondWith(fromCacheFirst(request));
  else if (request.mode === 'navigate' && !/^\/(v1|files|demo)\//.test(url.pathname))
    event.respondWith(fromNetworkFirst(request, '/'));
  else if (['/config.json', '/icon.svg', '/manifest.webmanifest'].includes(url.pathname))
    event.respondWith(fromNetworkFirst(request, url.pathname));
});

async function fromCacheFirst(request) {
  const cache = await caches.open(ASSETS);
  const kept = await cache.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) {
    await cache.put(request, answer.clone());
    const names = await cache.keys();
    for (const name of names.slice(0, Math.max(0, names.length - MOST_ASSETS))) await cache.delete(name);
  }
  return answer;
}

async function fromNetworkFirst(request, name) {
  const cache = await caches.open(SHELL);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(name, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(name);
    if (kept) return kept;
    throw error;
  }
}
