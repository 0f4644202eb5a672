/** Fails when what a page has to load is larger than promised, in bytes of gzip. */

import { gzipSync } from "node:zlib";
import { build } from "vite";

const LIMITS = { "src/lib/index.ts": 6_144, "src/lib/react/index.ts": 1_536 };

async function size(entry) {
  const rolldownOptions = { input: entry, preserveEntrySignatures: "strict", external: ["react", "../index.js"] };
  const built = await build({
    configFile: false,
    publicDir: false,
    logLevel: "error",
    build: { write: false, rolldownOptions },
  });
  return gzipSync(built.output[0].code, { level: 9 }).length;
}

for (const [entry, limit] of Object.entries(LIMITS)) {
  const bytes = await size(entry);
  process.stdout.write(`${entry}: ${bytes} of ${limit} bytes, minified and gzipped\n`);
  if (bytes > limit) process.exitCode = 1;
}
