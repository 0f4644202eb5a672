/** The ladder of transports: the live one is marked, each but polling has a switch to block it. */

import { useSyncExternalStore } from "react";
import type { Transport } from "../../lib/index.js";
import type { Gate, Gates } from "../gates";
import { useSettled } from "../hooks/useSettled";
import { TRANSPORTS } from "../words";
import { Rung } from "./Rung";
import { Switch } from "./Switch";

const LADDER = ["websocket", "sse", "long-poll", "poll"] as const;

export function Transports({ gates, live }: { readonly gates: Gates; readonly live: Transport }) {
  const shut = useSyncExternalStore(gates.subscribe, gates.shut);
  const block = (gate: Gate, label: string) => (
    <Switch label={label} on={shut.has(gate)} onChange={(on) => gates.set(gate, on)} testid={`block-${gate}`} />
  );
  return (
    <section className="transports panel" aria-labelledby="transports-title">
      <div className="panel-head">
        <h2 id="transports-title">Transport</h2>
        <span className="hint" aria-hidden="true">
          Block
        </span>
      </div>
      <ol className="ladder">
        {LADDER.map((name) => (
          <Rung
            key={name}
            title={TRANSPORTS[name]}
            live={live === name}
            blocked={shut.has("network") || (name !== "poll" && shut.has(name))}
          >
            {name !== "poll" && block(name, `Block ${TRANSPORTS[name]}`)}
          </Rung>
        ))}
      </ol>
      <div className="everything">
        <span>Everything, as if offline</span>
        {block("network", "Block everything, as if offline")}
      </div>
      <p className="hint" role="status" data-testid="live">
        {words(useSettled(live), shut.size > 0)}
      </p>
    </section>
  );
}

/** Return the status text. Screen readers announce each change, so `live` is debounced. */
function words(live: Transport | null, blocked: boolean): string {
  if (live === "paused" || live === "closed") return "The connection is paused.";
  if (live === null || live === "connecting") return "Connecting to the server.";
  if (live === "websocket") return "States arrive over WebSocket. Block it, and the next one takes over.";
  const way = { sse: "over SSE", "long-poll": "by long-polling", poll: "by polling" }[live];
  const back = blocked ? "Better transports that are not blocked" : "Better transports";
  return `States arrive ${way}. ${back} are retried automatically.`;
}
