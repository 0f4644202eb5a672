/** Compiles Svelte's components, and modules with runes, for the tests, as the build of an app does. */

import { compile, compileModule } from "svelte/compiler";
import { defaultClientConditions, type Plugin } from "vite";

export const svelte: Plugin = {
  name: "svelte",
  enforce: "post", // modules must be JavaScript by then
  // In a test with a document, too, Vitest would take what packages have for servers.
  configEnvironment: (name) => (name === "client" ? { resolve: { conditions: [...defaultClientConditions] } } : null),
  transform(code, filename, request) {
    const options = { filename, generate: request?.ssr ? "server" : "client" } as const;
    if (filename.endsWith(".svelte")) return compile(code, options).js;
    if (/\.svelte\.[jt]s$/.test(filename)) return compileModule(code, options).js;
    return null;
  },
};
