/** A page of which `hookcast.tsx` has the provider. */

import { createRoot } from "react-dom/client";
import { Hookcast } from "./hookcast";
import { Mine } from "./mine";

createRoot(document.getElementById("root") as HTMLElement).render(
  <Hookcast url={import.meta.env.VITE_HOOKCAST_URL}>
    <Mine />
  </Hookcast>,
);
