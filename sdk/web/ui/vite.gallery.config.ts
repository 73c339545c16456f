import { defineConfig } from 'vite';

// `npm run gallery -w ui` shows each element with sample data; `dist-gallery` is the same as files.
export default defineConfig({
  root: 'gallery',
  resolve: { conditions: ['tidings-source', 'module', 'browser', 'development|production'] },
  build: { target: 'es2022', outDir: '../dist-gallery', emptyOutDir: true, modulePreload: { polyfill: false } },
});
