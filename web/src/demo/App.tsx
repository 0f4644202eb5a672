/** The root component of the demo page. */

import type { Clock } from "./clock";
import type { Gates } from "./gates";
import { useRuns } from "./hooks/useRuns";
import { Announcer } from "./parts/Announcer";
import { Console } from "./parts/Console";
import { Feed } from "./parts/Feed";
import { Flow } from "./parts/Flow";
import { Footer } from "./parts/Footer";
import { KeyField } from "./parts/KeyField";
import { Masthead } from "./parts/Masthead";
import { Transports } from "./parts/Transports";
import { transportOf } from "./runs";
import { submissionOf } from "./submission";

export function App({ clock, gates }: { readonly clock: Clock; readonly gates: Gates }) {
  const { runs, locked, start, retry, seen, unlock } = useRuns();
  const [newest] = runs;
  const generate = (prompt: string, endpointId: string, fault: string) =>
    start(prompt, submissionOf(prompt, endpointId, fault), clock.now());
  return (
    <div className="page">
      <Masthead />
      <main>
        <Flow run={newest} />
        <div className="desk">
          <div className="side">
            {locked && <KeyField onKey={unlock} />}
            <Console onGenerate={generate} />
            <Transports gates={gates} live={transportOf(runs)} />
          </div>
          <Feed runs={runs} clock={clock} onSeen={seen} onRetry={retry} />
        </div>
      </main>
      <Footer run={newest} />
      <Announcer runs={runs} />
    </div>
  );
}
