/** A live region that announces changes of jobs; failures are announced by their cards. */

import { useEffect, useRef, useState } from "react";
import type { Run } from "../runs";
import { newsOf } from "../words";

export function Announcer({ runs }: { readonly runs: readonly Run[] }) {
  const before = useRef(runs);
  const [news, setNews] = useState("");
  useEffect(() => {
    const said = newsOf(before.current, runs);
    before.current = runs;
    if (said !== null) setNews(said);
  }, [runs]);
  return (
    <p className="unseen" role="status" data-testid="news">
      {news}
    </p>
  );
}
