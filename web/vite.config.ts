import { defineConfig } from "vite";

const server = "http://127.0.0.1:8000";

export default defineConfig({
  build: {
    outDir: "../server/hookcast/static",
    emptyOutDir: true,
    // The page's Content-Security-Policy forbids inline assets.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The "use client" directive of hookcast/react is for bundlers of React Server Components.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
  server: {
    proxy: {
      "/api": { target: server, ws: true },
      "/healthz": server,
      "/media": server,
      "/readyz": server,
      "/metrics": server,
      "/openapi.json": server,
    },
  },
});
