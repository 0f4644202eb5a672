import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  type ACTIONS,
  type End,
  type Event,
  type EventType,
  initialState,
  type Phase,
  type State,
  TABLE,
  transition,
} from "../../src/lib/state.js";
import { LADDER } from "../../src/lib/transports/kinds.js";

const PHASES = Object.keys(TABLE) as Phase[];
const EVENTS: EventType[] = ["start", "stop", "done", "failed", "lost", "elapsed", "wake", "hide", "close"];
const PAIRS = PHASES.flatMap((phase) => EVENTS.map((type) => ({ phase, type })));

function at(phase: Phase, changes: Partial<State> = {}): State {
  return { ...initialState(LADDER), phase, rung: 1, ...changes };
}

function lost(state: State, end: End, lasted = 0) {
  return transition(state, { type: "lost", end, lasted } as Event);
}

/** The phase that each action of the table leads to from rung 1, and the effects by type. */
const LEADS: Record<keyof typeof ACTIONS, [Phase, string[]]> = {
  connect: ["connecting", ["open"]],
  live: ["live", ["after"]],
  climb: ["climbing", ["probe"]],
  promote: ["live", ["promote"]],
  settle: ["live", ["after"]],
  recover: ["waiting", ["after"]],
  authorize: ["authorizing", ["authorize"]],
  defer: ["authorizing", ["after"]],
  reopen: ["connecting", ["open"]],
};

describe("the machine", () => {
  it("has the table that SPEC.md shows", () => {
    const lines = readFileSync(new URL("../../SPEC.md", import.meta.url), "utf8").split("\n");
    const start = lines.findIndex((line) => line.startsWith("| | start |"));
    const cells = (line = "") =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim());
    const types = cells(lines[start]).slice(1);
    expect(types).toEqual(EVENTS);
    const shown = lines.slice(start + 2, start + 2 + PHASES.length).map((line) => {
      const [phase = "", ...actions] = cells(line);
      return [phase, Object.fromEntries(types.map((type, at) => [type, actions[at]]).filter(([, name]) => name))];
    });
    expect(Object.fromEntries(shown)).toEqual(TABLE);
  });

  it.each(PAIRS)("does in $phase at $type what its table says, and nothing else", ({ phase, type }) => {
    const state = at(phase);
    const [next, effects] = transition(state, { type, stale: true, end: { why: "failed" }, lasted: 0 } as Event);
    const action = TABLE[phase][type];
    if (action === undefined) {
      expect(next).toBe(state);
      expect(effects).toEqual([]);
      return;
    }
    expect([next.phase, effects.map((effect) => effect.type)]).toEqual(
      LEADS[action as keyof typeof ACTIONS] ?? [action, []],
    );
  });
});

describe("the ladder", () => {
  it("is left for the next transport at the third strike, which begins without any", () => {
    let state = at("connecting", { rung: 0 });
    for (let strike = 1; strike <= 2; strike += 1) {
      [state] = lost(state, { why: "failed" });
      expect(state).toMatchObject({ phase: "waiting", rung: 0, strikes: strike });
      [state] = transition(state, { type: "elapsed" });
    }
    const [next, effects] = lost(state, { why: "failed" });
    expect(next).toMatchObject({ phase: "connecting", rung: 1, strikes: 0 });
    expect(effects).toEqual([{ type: "open", transport: "sse" }]);
  });

  it("is not left by a connection that lasted", () => {
    const [next] = lost(at("live", { strikes: 2, attempt: 2 }), { why: "failed" }, 10_000);
    expect(next).toMatchObject({ phase: "waiting", rung: 1, strikes: 1, attempt: 1 });
  });

  it("is left at once by a transport that is silent", () => {
    const [next, effects] = lost(at("live", { rung: 0 }), { why: "unfit" }, 40_000);
    expect(next).toMatchObject({ phase: "connecting", rung: 1 });
    expect(effects).toEqual([{ type: "open", transport: "sse" }]);
  });

  it("is gone down with pauses that begin anew, but not after a whole pass in vain", () => {
    expect(lost(at("connecting", { strikes: 2, attempt: 2 }), { why: "failed" })[0]).toMatchObject({
      rung: 2,
      attempt: 0,
    });
    expect(lost(at("connecting", { strikes: 2, attempt: 5 }), { why: "failed" })[0]).toMatchObject({
      rung: 2,
      attempt: 5,
    });
  });

  it("loses a transport that may not be used again", () => {
    const [next, effects] = lost(at("live", { rung: 0 }), { why: "barred" });
    expect(next).toMatchObject({ phase: "connecting", rung: 0, ladder: ["sse", "long-poll", "poll"] });
    expect(effects).toEqual([{ type: "open", transport: "sse" }]);
  });

  it("begins again at the top, after a pause, when nothing of it leads anywhere", () => {
    for (const why of ["failed", "unfit"] as const) {
      const [next] = lost(at("connecting", { rung: 3, strikes: 2, attempt: 2 }), { why });
      expect(next).toMatchObject({ phase: "waiting", rung: 0, strikes: 0, attempt: 3 });
    }
  });

  it("is climbed from a lower rung, one better transport after the other, ever more seldom", () => {
    let state = at("connecting", { rung: 3 });
    const probes: unknown[] = [];
    const times: number[] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const [live, [timer]] = transition(state, { type: turn === 0 ? "done" : "failed" });
      if (timer?.type === "after") times.push(timer.base);
      const [climbing, [probe]] = transition(live, { type: "elapsed" });
      if (probe?.type === "probe") probes.push(probe.transport);
      state = climbing;
    }
    expect(probes).toEqual(["websocket", "sse", "long-poll", "websocket"]);
    expect(times).toEqual([5_000, 10_000, 20_000, 40_000]);
  });

  it("is climbed to the transport that was probed, without losing what carried the states", () => {
    const [next, effects] = transition(at("climbing", { rung: 3, climbs: 1 }), { type: "done" });
    expect(next).toMatchObject({ phase: "live", rung: 1, climbs: 2 });
    expect(effects[0]).toEqual({ type: "promote" });
    const [top, none] = transition(at("climbing", { rung: 1 }), { type: "done" });
    expect(top).toMatchObject({ phase: "live", rung: 0 });
    expect(none).toEqual([{ type: "promote" }]);
  });

  it("is climbed early again after a connection that lasted for minutes", () => {
    expect(lost(at("live", { climbs: 6 }), { why: "failed" }, 60_000)[0].climbs).toBe(6);
    expect(lost(at("live", { climbs: 6 }), { why: "failed" }, 300_000)[0].climbs).toBe(0);
  });
});

describe("pauses", () => {
  const spread = (attempt: number, end: End) => lost(at("connecting", { rung: 3, attempt }), end)[1];

  it("are random up to a time that doubles, 30 s at most", () => {
    const found = [0, 1, 2, 9].map((attempt) => spread(attempt, { why: "failed" })[0]);
    expect(found).toMatchObject([1_000, 2_000, 4_000, 30_000].map((ms) => ({ base: 0, spread: ms })));
  });

  it("are those that the server names, and longer when these did not help", () => {
    expect(spread(0, { why: "failed", after: 4_200 })).toMatchObject([{ base: 4_200, spread: 0 }]);
    expect(spread(2, { why: "failed", after: 4_200 })).toMatchObject([{ base: 4_200, spread: 4_000 }]);
  });
});

describe("tokens", () => {
  it("are renewed at once after a connection that lasted", () => {
    const [next, effects] = lost(at("live", { attempt: 3 }), { why: "unauthorized" }, 60_000);
    expect([next.phase, effects]).toEqual(["authorizing", [{ type: "authorize" }]]);
  });

  it("that are refused over and over are asked for after growing pauses", () => {
    let state = at("connecting");
    const spreads: number[] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const [next, [effect]] = lost(state, { why: "unauthorized" });
      if (effect?.type === "after") spreads.push(effect.spread);
      [state] = transition({ ...next, phase: "authorizing" }, { type: "done" });
    }
    expect(spreads).toEqual([2_000, 4_000, 8_000]);
  });
});

describe("the page", () => {
  const wake = (phase: Phase, stale: boolean) => transition(at(phase), { type: "wake", stale } satisfies Event);

  it("that wakes leaves a connection alone that cannot have died", () => {
    expect(wake("live", false)[1]).toEqual([]);
    expect(wake("live", true)[1]).toEqual([{ type: "open", transport: "sse" }]);
  });

  it("that wakes ends every pause at once", () => {
    for (const phase of ["waiting", "paused"] as const) expect(wake(phase, false)[0].phase).toBe("connecting");
  });

  it("that is hidden when its connection is closed normally waits until it is back", () => {
    expect(lost(at("live"), { why: "left" })[0].phase).toBe("paused");
  });
});
