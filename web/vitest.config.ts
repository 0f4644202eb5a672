import "./scripts/node20.mjs";
import { defineConfig } from "vitest/config";
import { svelte } from "./test/svelte.js";

export default defineConfig({
  plugins: [svelte],
  test: { include: ["test/**/*.test.{ts,tsx}"], server: { deps: { inline: ["svelte"] } } },
});
