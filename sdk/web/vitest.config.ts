import { defineConfig } from 'vitest/config';

// `npm test` runs what needs no server; `npm run test:node` what runs against a real node (TIDINGS_BIN).
const resolve = { conditions: ['tidings-source', 'module', 'browser', 'development|production'] };
const ssr = { resolve: { conditions: ['tidings-source', 'module', 'node', 'development|production'] } };

export default defineConfig({
  test: {
    projects: [
      { resolve, ssr, test: { name: 'client', include: ['client/test/**/*.test.ts'], testTimeout: 60_000 } },
      { resolve, ssr, test: { name: 'ui', include: ['ui/src/**/*.test.ts', 'ui/test/**/*.test.ts'] } },
      { resolve, ssr, test: { name: 'examples', include: ['examples/**/*.test.ts'] } },
      {
        resolve,
        ssr,
        test: { name: 'node', include: ['client/test-node/**/*.test.ts'], testTimeout: 180_000, hookTimeout: 120_000 },
      },
    ],
  },
});
