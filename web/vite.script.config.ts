import { defineConfig } from "vite";

/** Build the library as `/hookcast.js` next to the demo page, plus the chunk loaded when tabs share a connection. */
export default defineConfig({
  publicDir: false,
  build: {
    outDir: "../server/hookcast/static",
    emptyOutDir: false,
    lib: { entry: "src/lib/index.ts", formats: ["es"], fileName: "hookcast" },
    rolldownOptions: { output: { chunkFileNames: "hookcast-[name]-[hash].js", minify: true, comments: false } },
  },
});
