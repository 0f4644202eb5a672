/** The life of the page (WHATWG HTML section 6.2; Page Lifecycle): when it sleeps, and when it is back. */

import type { HookcastOptions } from "./types.js";

/** `certain`: whatever was open is dead. */
export type TellPage = (type: "wake" | "hide", certain: boolean) => void;

const EVENTS = ["visibilitychange", "resume", "online", "pageshow", "pagehide", "freeze"];

export function isHidden(): boolean {
  return !!globalThis.document?.hidden;
}

/** Tells until it is called off. A page that is left for the back/forward cache, or frozen, always hides. */
export function watchPage(tell: TellPage, whenHidden: HookcastOptions["whenHidden"]): () => void {
  const controller = new AbortController();
  const listen = ({ type }: { type: string }) => {
    if (["pagehide", "freeze"].includes(type) || (whenHidden === "pause" && isHidden())) tell("hide", true);
    else if (type !== "visibilitychange" || !isHidden()) tell("wake", type === "online" || type === "resume");
  };
  // The events of the document, too, pass the window on their way down. Elsewhere there is no page.
  for (const type of EVENTS) globalThis.addEventListener?.(type, listen, { capture: true, signal: controller.signal });
  return () => controller.abort();
}
