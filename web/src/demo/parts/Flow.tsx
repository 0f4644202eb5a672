/** The path of the newest job: browser → Hookcast → fal → webhook → browser. */

import type { Run } from "../runs";
import { captionOf, stageOf, transportWords } from "../words";

export function Flow({ run }: { readonly run: Run | undefined }) {
  const stage = stageOf(run);
  const back = (run?.requestId && transportWords(run)) || "events";
  const endedBy = run?.seen.job?.endedBy ?? undefined;
  return (
    <figure className="flow" data-testid="flow" data-stage={stage} data-ended-by={endedBy}>
      <Node name="browser" title="Browser" text="this page" />
      <Wires out="post" outText="POST" back="events" backText={back} />
      <Node name="hookcast" title="Hookcast" text="your server" />
      <Wires out="queue" outText="queue" back="webhook" backText="webhook" />
      <Node name="fal" title="fal.ai" text="the model" />
      <figcaption>{captionOf(run)}</figcaption>
    </figure>
  );
}

function Node({ name, title, text }: { readonly name: string; readonly title: string; readonly text: string }) {
  return (
    <div className="node" data-node={name}>
      <b>{title}</b>
      <span>{text}</span>
    </div>
  );
}

interface WiresProps {
  readonly out: string;
  readonly outText: string;
  readonly back: string;
  readonly backText: string;
}

function Wires({ out, outText, back, backText }: WiresProps) {
  return (
    <div className="wires">
      <span className="wire out" data-wire={out}>
        {outText}
      </span>
      <span className="wire back" data-wire={back}>
        {backText}
      </span>
    </div>
  );
}
