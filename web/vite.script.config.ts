import { defineConfig } from "vite";

/** The library as one file, `/hookcast.js`, beside the demo page. */
export default defineConfig({
  publicDir: false,
  build: {
    outDir: "../server/hookcast/static",
    emptyOutDir: false,
    rolldownOptions: {
      input: "src/lib/index.ts",
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "hookcast.js" },
    },
  },
});
