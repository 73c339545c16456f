// The budget of the client: what a page loads of it, as a server compresses it.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET = 35 * 1000;
const bundle = readFileSync(new URL('../dist/index.js', import.meta.url));
const size = gzipSync(bundle, { level: 9 }).length;
console.log(`@tidings/client: ${bundle.length} bytes, ${size} gzipped, of ${BUDGET}`);
if (size > BUDGET) {
  console.error(`over the budget by ${size - BUDGET} bytes`);
  process.exit(1);
}
