import { describe, expect, it } from "vitest";
import type { Lag } from "../../src/demo/lag";
import { type Run, UNSEEN } from "../../src/demo/runs";
import {
  captionOf,
  lagWords,
  newsOf,
  noticeWords,
  positionWords,
  runWords,
  stageOf,
  transportWords,
  webhookLag,
} from "../../src/demo/words";
import type { Job, Transport } from "../../src/lib/index.js";
import { copying, file, job, kept, run } from "./fixtures";

const seen = (changes: Partial<Job>): Run => run({ seen: { ...UNSEEN, job: job(changes) } });

describe("the words on a card", () => {
  it("give the position only while the job is queued", () => {
    const progress = { ...job().progress, queuePosition: 2 };
    expect(positionWords(job({ progress }))).toBe("2 before you");
    expect(positionWords(job({ progress: { ...progress, queuePosition: 0 } }))).toBe("next in the queue");
    expect(positionWords(job({ progress: { ...progress, phase: "running" } }))).toBeNull();
    expect(positionWords(job({ progress, status: "cancelled" }))).toBeNull();
  });

  it("name the end rather than the phase once the job has ended", () => {
    expect(runWords(run({ requestId: null }))).toBe("Submitting");
    expect(runWords(run())).toBe("Connecting");
    expect(runWords(seen({}))).toBe("Queued");
    expect(runWords(seen({ status: "failed" }))).toBe("Failed");
  });

  it("tell of copies how many files are kept, and of how many", () => {
    const job = copying(kept(), file({ bytes: 900 }));
    expect([runWords(seen(job)), positionWords(job)]).toEqual(["Copying", "1 of 2 files, 1.0 kB"]);
    expect(captionOf(seen(job))).toBe("fal's webhook has arrived. Hookcast copies the files into its storage.");
  });

  it("name the transport, but of a job that had ended before the page was connected", () => {
    const over = (transport: Transport, changes: Partial<Job>) =>
      transportWords(run({ seen: { ...UNSEEN, job: job(changes), transport } }));
    expect(over("connecting", {})).toBe("connecting");
    expect(over("sse", { status: "completed" })).toBe("SSE");
    expect(over("connecting", { status: "completed" })).toBeNull();
  });

  it("say when updates are interrupted, and nothing while they are live", () => {
    expect(noticeWords("poll")).toBe("Live updates interrupted - checking every 3 s");
    expect(noticeWords("connecting")).toMatch(/^Live updates interrupted - reconnecting/);
    for (const live of ["websocket", "sse", "long-poll"] as const) expect(noticeWords(live)).toBeNull();
  });

  it("give the milliseconds with what they mean, and a dash where they would mean nothing", () => {
    const [text, meaning] = lagWords({ kind: "measured", ms: 12.4, error: 1.6 });
    expect([text, meaning.includes("give or take 2 ms")]).toEqual(["12 ms", true]);
    expect(lagWords({ kind: "measured", ms: 0.2, error: 1 })[0]).toBe("< 1 ms");
    for (const kind of ["late", "unknown"] as const) expect(lagWords({ kind })[0]).toBe("—");
  });
});

describe("the way of a job", () => {
  it("is at the stage of the job's phase, and at its end", () => {
    expect(stageOf(undefined)).toBe("idle");
    expect(stageOf(run({ requestId: null }))).toBe("submitting");
    expect(stageOf(seen({}))).toBe("queued");
    expect(stageOf(seen({ status: "completed" }))).toBe("done");
    expect(stageOf(seen({ status: "failed" }))).toBe("failed");
    expect(stageOf(seen({ status: "cancelled" }))).toBe("cancelled");
  });

  const ended = (endedBy: Job["endedBy"], lag: Lag) =>
    run({ seen: { ...UNSEEN, lag, job: job({ status: "completed", endedBy }) } });
  const measured = { kind: "measured", ms: 9, error: 1 } as const;

  it("ends with the milliseconds since the webhook, where they are known", () => {
    expect(captionOf(ended("webhook", measured))).toMatch(/cast to this page 9 ms later\.$/);
    expect(captionOf(ended("webhook", { kind: "late" }))).toMatch(/cast to this page\.$/);
  });

  it("tells of no webhook where none came", () => {
    expect(captionOf(ended("asked", measured))).toMatch(/^No webhook came, so Hookcast asked fal/);
    expect(webhookLag(ended("asked", measured).seen)).toBeNull();
    expect(webhookLag(ended("webhook", measured).seen)).toBe(measured);
  });

  it("is no failure if the job was cancelled", () => {
    expect(captionOf(seen({ status: "cancelled" }))).toMatch(/^fal cancelled the job/);
  });
});

describe("what is said aloud", () => {
  it("is that a job was taken, and that it has ended well or was cancelled", () => {
    const before = [run({ requestId: null })];
    expect(newsOf(before, [seen({})])).toBe("Job 1 submitted.");
    expect(newsOf([seen({})], [seen({ status: "completed" })])).toBe("Job 1 completed.");
    expect(newsOf([seen({})], [seen({ status: "cancelled" })])).toBe("Job 1 cancelled.");
  });

  it("is that files are copied, once", () => {
    const started = seen(copying(file()));
    expect(newsOf([seen({})], [started])).toBe("Job 1: copying 1 file.");
    expect(newsOf([started], [seen(copying(kept(), file()))])).toBeNull();
    expect(newsOf([started], [seen({ status: "completed" })])).toBe("Job 1 completed.");
  });

  it("is not each state on the way, nor what was there at a reload, nor a failure, which is an alert itself", () => {
    expect(newsOf([seen({})], [seen({ version: 2 })])).toBeNull();
    expect(newsOf([run()], [seen({ status: "completed" })])).toBeNull();
    expect(newsOf([], [seen({})])).toBeNull();
    expect(newsOf([seen({})], [seen({ status: "failed" })])).toBeNull();
  });

  it("is the failure of a job that another tab submitted, whose card is no alert", () => {
    const other = (changes: Partial<Job>) => ({ ...seen(changes), submission: null });
    expect(newsOf([other({})], [other({ status: "failed" })])).toBe("Job 1 failed.");
  });
});
