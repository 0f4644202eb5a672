/** The jobs of the signed-in user in a component. */

import { type Hookcast, HookcastError } from "../index.js";
import { add, type Loaded, type MyJobs, type MyJobsOptions, type Shown } from "./history.js";
import type { Plan, Report, Store } from "./plan.js";

/** Return how a component watches the jobs of a user. What follows them is loaded on demand. */
export function planMyJobs<JobResult>(
  client: Hookcast,
  options: MyJobsOptions<JobResult>,
  report: Report,
): Plan<Shown<JobResult>, MyJobs<JobResult>> {
  const { owner, limit, pollInterval, enabled = true } = options;
  const start = (store: Store<Shown<JobResult>>) => {
    const over = new AbortController();
    const begin = () =>
      import("./mine.js").then(
        ({ follow }) => follow(client, options, store, report, over.signal),
        () => {
          const error = new HookcastError("network", "The page's code did not load.");
          if (!over.signal.aborted) store.set({ error, isLoading: false, loadMore: begin });
        },
      );
    void begin();
    return () => over.abort();
  };
  return {
    initial: () => initialOf(options),
    key: [client, owner],
    start: enabled ? start : null,
    restart: [limit, pollInterval],
    view: ({ loaded: _, ...shown }) => shown,
  };
}

function initialOf<JobResult>({ initialPage, enabled = true }: MyJobsOptions<JobResult>): Shown<JobResult> {
  const loaded: Loaded<JobResult> = {
    states: new Map(),
    pending: new Set(),
    cursor: undefined,
    edge: undefined,
    newest: "",
  };
  if (initialPage) add(loaded, initialPage);
  return {
    jobs: initialPage?.jobs ?? [],
    hasMore: !!initialPage?.nextCursor,
    isLoading: enabled && !initialPage,
    loadMore: () => {},
    error: null,
    transport: "connecting",
    loaded,
  };
}
