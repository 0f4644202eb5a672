/**
 * Pages of the history and live changes in one list. A page continues at a cursor, so jobs that come in meanwhile do not
 * move it. Loaded on demand.
 */

import { type Hookcast, type HookcastError, isTerminal, type Job, type JobPage } from "../index.js";
import { add, type MyJobsOptions, type Shown } from "./history.js";
import { ageOf, handlersOf, newestFirst, type Report, type Store } from "./plan.js";

/** The number of jobs of a page. */
export const LIMIT = 20;
/** The pause before the first page is asked for again, with up to half as much again: without it, nothing is shown. */
export const AGAIN_MS = 10_000;

/** Follow the jobs of a user until `signal` aborts. */
export function follow<JobResult>(
  client: Hookcast,
  options: MyJobsOptions<JobResult>,
  store: Store<Shown<JobResult>>,
  report: Report,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  const { owner, limit = LIMIT, pollInterval } = options;
  const { loaded } = store.get();
  const handlers = handlersOf(store, () => {}, pollInterval);
  const load = pagesInto(store, signal, (cursor) => {
    const whose = owner ? { owner } : { mine: true };
    return client.list<JobResult>({ ...whose, limit, cursor }, { signal });
  });
  const begin = () => {
    if (loaded.edge === undefined) void load();
  };
  store.set({ loadMore: () => void load() });
  client.watchMine<JobResult>({
    ...handlers,
    owner,
    signal,
    onUpdate: (job) => take(store, job, report),
    onTransport: (transport) => {
      const anew = transport !== store.get().transport;
      handlers.onTransport(transport);
      if (anew) begin();
    },
  });
  begin();
}

/** Return the function that loads the next page, unless one is being loaded. The first one is retried until it is there. */
function pagesInto<JobResult>(
  store: Store<Shown<JobResult>>,
  signal: AbortSignal,
  ask: (cursor: string | undefined) => Promise<JobPage<JobResult>>,
): () => Promise<void> {
  const { loaded } = store.get();
  let loading = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const load = async (again = false) => {
    if (loading || loaded.cursor === null) return;
    loading = true;
    clearTimeout(timer);
    // A retry leaves the error until it succeeds: an alert that comes and goes would be read out each time.
    store.set({ isLoading: true, ...(!again && { error: null }) });
    try {
      add(loaded, await ask(loaded.cursor));
      show(store, false);
      if (again) store.set({ error: null });
    } catch (error) {
      if (!signal.aborted) fail(error as HookcastError);
    } finally {
      loading = false;
    }
  };
  const fail = (error: HookcastError) => {
    store.set({ isLoading: false, error });
    if (loaded.edge === undefined) timer = setTimeout(load, AGAIN_MS * (1 + Math.random() / 2), true);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  return () => load();
}

/** Take a live state: it is shown if its job is on a loaded page, or newer. */
function take<JobResult>(store: Store<Shown<JobResult>>, job: Job<JobResult>, report: Report): void {
  const { states, pending, edge, newest } = store.get().loaded;
  const known = states.get(job.requestId);
  if (known && known.version >= job.version) return;
  if (!isTerminal(job)) pending.add(job.requestId);
  // Ends from before are no news.
  else if (pending.delete(job.requestId) || (edge !== undefined && ageOf(job) > newest)) report(job);
  if (!known && edge !== undefined && ageOf(job) < edge) return;
  states.set(job.requestId, job);
  if (edge !== undefined) show(store);
}

function show<JobResult>(store: Store<Shown<JobResult>>, isLoading = store.get().isLoading): void {
  const { states, cursor } = store.get().loaded;
  store.set({ jobs: newestFirst([...states.values()]), hasMore: cursor !== null, isLoading });
}
