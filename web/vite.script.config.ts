import { defineConfig } from "vite";

/** The library, `/hookcast.js` beside the demo page, and the part of it that is loaded when tabs share a connection. */
export default defineConfig({
  publicDir: false,
  build: {
    outDir: "../server/hookcast/static",
    emptyOutDir: false,
    lib: { entry: "src/lib/index.ts", formats: ["es"], fileName: "hookcast" },
    rolldownOptions: { output: { chunkFileNames: "hookcast-[name]-[hash].js", minify: true, comments: false } },
  },
});
