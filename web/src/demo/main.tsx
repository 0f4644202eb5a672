/** The entry point of the demo page. */

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createHookcast } from "../lib/index.js";
import { HookcastProvider } from "../lib/react/index.js";
import { App } from "./App";
import { createClock } from "./clock";
import { createGates } from "./gates";
import { recallKey } from "./session";

const gates = createGates();
const clock = createClock(gates.fetch);
const client = createHookcast({
  fetch: gates.fetch,
  WebSocket: gates.WebSocket,
  getToken: () => recallKey(),
});
void clock.sample();

const root = document.getElementById("root");
if (root === null) throw new Error("The page has no #root");
createRoot(root).render(
  <StrictMode>
    <HookcastProvider client={client}>
      <App clock={clock} gates={gates} />
    </HookcastProvider>
  </StrictMode>,
);
