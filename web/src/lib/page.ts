/** The page lifecycle (WHATWG HTML section 6.2; Page Lifecycle): when a page is suspended and when it resumes. */

import type { HookcastOptions } from "./types.js";

/** `certain`: every open connection is dead. */
export type TellPage = (type: "wake" | "hide", certain: boolean) => void;

const EVENTS = ["visibilitychange", "resume", "online", "pageshow", "pagehide", "freeze"];

export function isHidden(): boolean {
  return !!globalThis.document?.hidden;
}

/**
 * Report `wake` and `hide` until the returned function is called. A page that is left for the back/forward cache, or
 * frozen, always hides.
 */
export function watchPage(tell: TellPage, whenHidden: HookcastOptions["whenHidden"]): () => void {
  const controller = new AbortController();
  const listen = ({ type }: { type: string }) => {
    if (["pagehide", "freeze"].includes(type) || (whenHidden === "pause" && isHidden())) tell("hide", true);
    else if (type !== "visibilitychange" || !isHidden()) tell("wake", ["online", "resume"].includes(type));
  };
  // The capture phase at the window includes the document's events. Outside a page there is nothing to listen to.
  for (const type of EVENTS) globalThis.addEventListener?.(type, listen, { capture: true, signal: controller.signal });
  return () => controller.abort();
}
