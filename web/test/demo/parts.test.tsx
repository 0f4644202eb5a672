// @vitest-environment happy-dom

import { act, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { CancelButton } from "../../src/demo/parts/CancelButton";
import { Footer } from "../../src/demo/parts/Footer";
import { LeavingButton } from "../../src/demo/parts/LeavingButton";
import { Notice } from "../../src/demo/parts/Notice";
import { Progress } from "../../src/demo/parts/Progress";
import { Raw } from "../../src/demo/parts/Raw";
import { Reason } from "../../src/demo/parts/Reason";
import { Screen } from "../../src/demo/parts/Screen";
import { Troubles } from "../../src/demo/parts/Troubles";
import { type Run, UNSEEN } from "../../src/demo/runs";
import { problemOf } from "../../src/demo/trouble";
import { createHookcast, HookcastError, type Job } from "../../src/lib/index.js";
import { HookcastProvider } from "../../src/lib/react/index.js";
import { asJob } from "../../src/lib/wire.js";
import { COPY, completed, copying, file, job, kept, run, SOURCE } from "./fixtures";

let root: Root;
let box: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  box = document.body.appendChild(document.createElement("div"));
  root = createRoot(box);
});
afterEach(async () => {
  await act(async () => root.unmount());
  box.remove();
});

const show = (node: ReactNode) => act(async () => root.render(node));
const part = (name: string) => box.querySelector<HTMLElement>(`[data-testid="${name}"]`);
const seen = (changes: Partial<Job>) => run({ seen: { ...UNSEEN, job: job(changes) } });
const nothing = () => {};

it("a button that goes away leads on whoever was on it, and nobody else", async () => {
  const left = vi.fn();
  const button = (
    <LeavingButton onClick={nothing} onLeave={left} testid="cancel">
      Cancel
    </LeavingButton>
  );
  await show(button);
  await show(null);
  expect(left).not.toHaveBeenCalled();
  await show(button);
  part("cancel")?.focus();
  await show(null);
  expect(left).toHaveBeenCalledTimes(1);
});

it("a button that is of no use now keeps the focus and does nothing", async () => {
  const pressed = vi.fn();
  const button = (off: boolean) => (
    <LeavingButton onClick={pressed} onLeave={nothing} off={off} testid="cancel">
      Cancel
    </LeavingButton>
  );
  await show(button(false));
  part("cancel")?.focus();
  await show(button(true));
  part("cancel")?.click();
  expect(document.activeElement).toBe(part("cancel"));
  expect(part("cancel")?.getAttribute("aria-disabled")).toBe("true");
  expect(pressed).not.toHaveBeenCalled();
});

const SEED = '"result":{"seed":9007199254740993}';
const text = JSON.stringify(job({ status: "completed" })).replace('"result":null', SEED);
const open = () => act(async () => box.querySelector("summary")?.click());

it.each([
  ["came alone", text],
  ["came in a list, which rounds them: it is asked for", undefined],
])("a result is shown with every digit, also if its state %s", async (_, known) => {
  const client = createHookcast({ url: "http://h", fetch: async () => new Response(text) });
  const shown = run({ seen: { ...UNSEEN, job: asJob(JSON.parse(text), known) } });
  await show(
    <HookcastProvider client={client}>
      <Raw run={shown} />
    </HookcastProvider>,
  );
  expect(part("result")).toBeNull();
  await open();
  await vi.waitFor(() => expect(part("result")?.textContent).toContain("9007199254740993"));
});

const reason = (of: Run, onAgain = nothing) => (
  <Reason run={of} onRetry={nothing} onAgain={onAgain} onLeave={nothing} />
);

it("a job that fal refused shows the sentence as an alert, what to do, the code, and fal's answer", async () => {
  const error = new HookcastError("fal_rejected", "no", 502, { falStatus: 422, falBody: { detail: "no prompt" } });
  const refused = run({ problem: problemOf(error, false) });
  await show(
    <>
      {reason(refused)}
      <Raw run={refused} />
    </>,
  );
  expect(box.querySelector('[role="alert"]')?.textContent).toBe("fal refused the job with 422.");
  expect(box.querySelector(".advice")?.textContent).toMatch(/\(fal_rejected\)$/);
  expect(part("error-detail")?.textContent).toContain("no prompt");
});

it("a failed job can be made again", async () => {
  const pressed = vi.fn();
  await show(reason(seen({ status: "failed", error: "no", metadata: { prompt: "a fox" } }), pressed));
  part("again")?.click();
  expect(pressed).toHaveBeenCalledTimes(1);
});

it("a failed job whose prompt is unknown can be made again from the input that the server has kept", async () => {
  await show(reason(seen({ status: "failed", error: "no" })));
  expect([part("again") !== null, box.querySelector(".advice")?.textContent]).toEqual([
    true,
    "A failed job does not continue. Generate again makes a new one of the same input.",
  ]);
});

it("a job that had failed before a reload is no alert", async () => {
  await show(reason({ ...seen({ status: "failed", error: "no" }), submission: null }));
  expect(part("error")?.textContent).toBe("no");
  expect(box.querySelector('[role="alert"]')).toBeNull();
});

it("a request that failed is an alert of its own, beside what is said of the connection", async () => {
  vi.useFakeTimers();
  const polled = run({ seen: { ...UNSEEN, job: job(), transport: "poll" } });
  await show(<Notice run={polled} trouble={null} />);
  await act(() => vi.advanceTimersByTimeAsync(2_000));
  vi.useRealTimers();
  expect(box.querySelector('[role="alert"]')).toBeNull();
  await show(<Notice run={polled} trouble="The job could not be cancelled." />);
  expect(box.querySelector('[role="alert"]')?.textContent).toBe("The job could not be cancelled.");
  expect(part("notice")?.textContent).toContain("Live updates interrupted");
});

it("a cancelled job is no error", async () => {
  await show(reason(seen({ status: "cancelled", error: null, metadata: { prompt: "a fox" } })));
  expect([part("error"), box.querySelector('[role="alert"]'), part("again") !== null]).toEqual([null, null, true]);
  expect(part("reason")?.textContent).toContain("The job was cancelled.");
});

it("a progress bar has a value once there is one, and words before", async () => {
  await show(<Progress run={seen({})} now={0} />);
  const bar = part("progress");
  expect([bar?.ariaValueNow ?? null, bar?.getAttribute("aria-valuetext")]).toEqual([null, "Queued"]);
  await show(<Progress run={seen({ status: "completed" })} now={0} />);
  expect(part("progress")?.getAttribute("aria-valuenow")).toBe("100");
});

it("a result without media has a screen that says so", async () => {
  await show(<Screen run={seen({ status: "completed", result: { text: "hello" } })} now={0} />);
  expect(box.textContent).toContain("a result without media");
  await show(<Screen run={seen({ status: "completed", result: { audio: { url: "https://h/a.mp3" } } })} now={0} />);
  expect(box.querySelector("audio")?.getAttribute("src")).toBe("https://h/a.mp3");
});

it("a video that plays goes on where it was when the copy takes the place of fal's", async () => {
  await show(<Screen run={seen(copying(file()))} now={0} />);
  const video = box.querySelector("video");
  if (video === null) throw new Error("There is no video");
  const play = vi.spyOn(video, "play").mockResolvedValue();
  Object.defineProperty(video, "paused", { value: false });
  video.currentTime = 3;
  await show(<Screen run={seen(completed(kept()))} now={0} />);
  expect(box.querySelector("video")).toBe(video);
  expect([video.getAttribute("src"), video.currentTime, play.mock.calls.length]).toEqual([COPY, 3, 1]);
});

it("a video that was stopped stays so with the copy", async () => {
  await show(<Screen run={seen(copying(file()))} now={0} />);
  const video = box.querySelector("video");
  if (video === null) throw new Error("There is no video");
  expect(video.autoplay).toBe(true);
  video.currentTime = 3;
  await show(<Screen run={seen(completed(kept()))} now={0} />);
  expect([video.getAttribute("src"), video.currentTime, video.autoplay]).toEqual([COPY, 3, false]);
});

it("a file that cannot be loaded from fal is loaded from the copy", async () => {
  const image = { source: "https://fal.media/a.png" };
  await show(<Screen run={seen(copying(file(image)))} now={0} />);
  await act(async () => box.querySelector("img")?.dispatchEvent(new Event("error")));
  expect(box.textContent).toContain("This image could not be loaded.");
  await show(<Screen run={seen(completed(kept({ ...image, contentType: "image/png", url: COPY })))} now={0} />);
  expect(box.querySelector("img")?.getAttribute("src")).toBe(COPY);
});

it("several files are a gallery: media by their place, others as links with name and size", async () => {
  const files = [kept(), kept({ source: "https://h/mesh.glb", contentType: "model/gltf-binary", size: 1500 })];
  await show(<Screen run={seen(completed(...files, file({ source: "data:image/png" })))} now={0} />);
  const [video, mesh, inline] = box.querySelectorAll("figure");
  expect(video?.querySelector("video")?.getAttribute("aria-label")).toBe("a lighthouse (1 of 3)");
  expect(mesh?.querySelector("a")?.getAttribute("href")).toBe(COPY);
  expect([mesh?.textContent, inline?.textContent, inline?.querySelector("a")]).toEqual([
    "mesh.glb1.5 kB",
    "image",
    null,
  ]);
});

it("of very many files the first are shown and the others counted", async () => {
  await show(<Screen run={seen(completed(...Array.from({ length: 30 }, () => kept())))} now={0} />);
  expect(box.querySelectorAll("figure")).toHaveLength(24);
  expect(box.textContent).toContain("and 6 more in the result");
});

it("files that are not kept are listed with the reason", async () => {
  const left = Array.from({ length: 7 }, () => file({ status: "left", error: "It is too big." }));
  await show(<Troubles job={completed(...left)} />);
  const lines = [...box.querySelectorAll("li")].map(({ textContent }) => textContent);
  expect(lines).toHaveLength(6);
  expect([lines[0], lines[5]]).toEqual(["File 1 (a.mp4) was left where it is. It is too big.", "and 2 more"]);
});

it("a part that needs the key of the tab is shown where the browser blocks storage", async () => {
  vi.stubGlobal("sessionStorage", undefined);
  const get = () => {
    throw new DOMException("The operation is insecure.", "SecurityError");
  };
  Object.defineProperty(globalThis, "sessionStorage", { get, configurable: true });
  await show(<Footer run={run()} />);
  vi.unstubAllGlobals();
  expect(part("curl-watch")?.textContent).toContain("curl");
});

it("a job whose files are copied cannot be cancelled any more", async () => {
  const actions = { asking: false, trouble: null, cancel: nothing, retry: nothing };
  const button = (of: Job) => <CancelButton run={seen(of)} actions={actions} onLeave={nothing} />;
  await show(button(job()));
  expect(part("cancel")).not.toBeNull();
  await show(button(copying(file({ source: SOURCE }))));
  expect(part("cancel")).toBeNull();
});
