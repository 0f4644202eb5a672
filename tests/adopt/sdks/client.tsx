/** A page of which `hookcast.ts` has the client. */

import { HookcastProvider } from "hookcast/react";
import { createRoot } from "react-dom/client";
import { hookcast } from "./hookcast";
import { Mine } from "./mine";

createRoot(document.getElementById("root") as HTMLElement).render(
  <HookcastProvider client={hookcast}>
    <Mine />
  </HookcastProvider>,
);
