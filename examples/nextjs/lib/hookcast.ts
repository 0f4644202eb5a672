import "server-only";
import type { Hookcast } from "hookcast";
import { serverClient } from "hookcast/next";

/** Return the URL of Hookcast. It is read at runtime, so that one build works in every environment. */
export function hookcastUrl(): string {
  return process.env.HOOKCAST_URL || "http://127.0.0.1:8000";
}

/** Create a client with the API key, `HOOKCAST_API_KEY`. It grants full access: keep it on the server. */
export function hookcast(): Hookcast {
  return serverClient({ url: hookcastUrl() });
}
