import { defineConfig } from 'vite';

// One module beside its two dependencies, which a page may share with others.
export default defineConfig({
  build: {
    target: 'es2022',
    lib: { entry: 'src/index.ts', formats: ['es'], fileName: 'index' },
    rollupOptions: { external: [/^lit/, '@tidings/client'] },
  },
});
