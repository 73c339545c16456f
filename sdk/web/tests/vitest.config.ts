import { defineConfig } from 'vitest/config';

// Real browsers against real nodes (TIDINGS_BIN): one file at a time, each with a node of its own.
export default defineConfig({
  test: { include: ['*.test.ts'], fileParallelism: false, testTimeout: 300_000, hookTimeout: 180_000, bail: 0 },
});
