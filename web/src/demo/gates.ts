/** A network whose parts can be blocked, to watch the library fall back to another transport. */

/** What can be blocked; `network` is everything. */
export type Gate = "websocket" | "sse" | "long-poll" | "network";

export interface Gates {
  readonly fetch: typeof fetch;
  readonly WebSocket: typeof WebSocket;
  /** Return what is blocked: a new object after each change. */
  readonly shut: () => ReadonlySet<Gate>;
  /** Block, which also aborts what is open, or unblock. */
  readonly set: (gate: Gate, shut: boolean) => void;
  /** Call `changed` after each change, until the returned function is called. */
  readonly subscribe: (changed: () => void) => () => void;
}

/** Return the gate that a request of the library goes through. */
export function gateOf(url: string): Gate {
  const { pathname, searchParams } = new URL(url, "http://page.invalid");
  if (pathname.endsWith("/events")) return "sse";
  return searchParams.has("wait") ? "long-poll" : "network";
}

type World = { fetch: typeof fetch; WebSocket: typeof WebSocket };
/** Return signals that abort when the gate shuts. Throws a TypeError, as `fetch` does, while it is shut. */
type Pass = (gate: Gate) => AbortSignal[];

export function createGates(world: World = globalThis): Gates {
  const { pass, ...switches } = createSwitches();
  return { fetch: gatedFetch(world, pass), WebSocket: gatedWebSocket(world, pass), ...switches };
}

function gatedFetch(world: World, pass: Pass): typeof fetch {
  return async (input, init = {}) => {
    const signals = pass(gateOf(input instanceof Request ? input.url : String(input)));
    if (init.signal) signals.push(init.signal);
    return world.fetch(input, { ...init, signal: AbortSignal.any(signals) });
  };
}

function gatedWebSocket(world: World, pass: Pass): typeof WebSocket {
  return class extends world.WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      const cut = AbortSignal.any(pass("websocket"));
      super(url, protocols);
      cut.addEventListener("abort", () => this.close());
    }
  };
}

function createSwitches(): Omit<Gates, keyof World> & { readonly pass: Pass } {
  const listeners = new Set<() => void>();
  const knives = new Map<Gate, AbortController>();
  let shut: ReadonlySet<Gate> = new Set();

  const knife = (gate: Gate) => {
    const found = knives.get(gate) ?? new AbortController();
    knives.set(gate, found);
    return found;
  };
  return {
    pass: (gate) => {
      if (shut.has(gate) || shut.has("network")) throw new TypeError(`Blocked on this page: ${gate}`);
      return [knife(gate).signal, knife("network").signal];
    },
    shut: () => shut,
    set: (gate, closing) => {
      const next = new Set(shut);
      if (closing) next.add(gate);
      else next.delete(gate);
      shut = next;
      if (closing) knife(gate).abort(new TypeError(`Blocked on this page: ${gate}`));
      knives.delete(gate);
      // As a browser does when its network is back, so that the library reconnects at once.
      if (gate === "network") globalThis.dispatchEvent(new Event(closing ? "offline" : "online"));
      for (const tell of listeners) tell();
    },
    subscribe: (changed) => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
  };
}
