import { defineConfig } from 'vite';

const gateway = process.env.TIDINGS_GATEWAY ?? 'http://127.0.0.1:7700';
const proxied = { target: gateway, ws: true };

// `npm run dev -w messenger` beside a node: what is the gateway's goes there.
export default defineConfig({
  resolve: { conditions: ['tidings-source', 'module', 'browser', 'development|production'] },
  build: { target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0, chunkSizeWarningLimit: 900 },
  server: { proxy: { '/v1': proxied, '/files': proxied, '/demo': proxied, '/config.json': proxied } },
});
