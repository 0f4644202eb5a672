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

export function App({ clock, gates }: { readonly clock: Clock; readonly gates: Gates }) {
  const list = useRuns(clock);
  const { runs, refusals, unlock, start, transport } = list;
  const [newest] = runs;
  return (
    <div className="page">
      <Masthead />
      <main>
        <Flow run={newest} />
        <div className="desk">
          <div className="side">
            {refusals > 0 && <KeyField key={refusals} onKey={unlock} />}
            <Console onGenerate={start} />
            <Transports gates={gates} live={transport} />
          </div>
          <Feed list={list} clock={clock} />
        </div>
      </main>
      <Footer run={newest} />
      <Announcer runs={runs} />
    </div>
  );
}
