/** Fail if a bundle exceeds its size limit, in bytes after gzip. */

import { gzipSync } from "node:zlib";
import { build } from "vite";

/**
 * For each entry, and for the chunks it loads on demand: calls that few pages make, why there is no
 * connection, how tabs share it, a list of pages. The core exports its numeric constants so that bundlers inline them, which
 * saves 80 bytes.
 */
const LIMITS = {
  "src/lib/index.ts": [6_000, 1_984, 2_304, 512, 2_688],
  "src/lib/react/index.ts": [1_600],
  "src/lib/react/my-jobs.ts": [832, 512, 768],
  "src/lib/vue/index.ts": [1_920, 576, 768],
};

async function sizes(entry) {
  const [{ output }] = await build({
    configFile: false,
    publicDir: false,
    logLevel: "error",
    build: {
      write: false,
      lib: { entry, formats: ["es"] },
      rolldownOptions: {
        optimization: { inlineConst: true },
        external: ["react", "vue", "../index.js"],
        output: { minify: true, comments: false, chunkFileNames: "[name].js" },
      },
    },
  });
  return output.map(({ code, fileName }) => [fileName, gzipSync(code, { level: 9 }).length]);
}

for (const [entry, limits] of Object.entries(LIMITS)) {
  const found = await sizes(entry);
  if (found.length !== limits.length) throw new Error(`${entry} became ${found.map(([name]) => name)}`);
  for (const [at, [name, bytes]] of found.entries()) {
    process.stdout.write(`${entry}: ${name}: ${bytes} of ${limits[at]} bytes, minified and gzipped\n`);
    if (bytes > limits[at]) process.exitCode = 1;
  }
}
