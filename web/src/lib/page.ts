/** The life of the page (WHATWG HTML section 6.2; Page Lifecycle): when it sleeps, and when it is back. */

/** `certain`: whatever was open is dead. */
export type TellPage = (type: "wake" | "hide", certain: boolean) => void;

const EVENTS = ["visibilitychange", "resume", "online", "pageshow", "pagehide"];

export function isHidden(): boolean {
  return globalThis.document?.hidden ?? false;
}

/** Tells until it is called off. A page that is left for the back/forward cache always hides. Nothing without a page. */
export function watchPage(tell: TellPage, pauseHidden: boolean): () => void {
  if (globalThis.document === undefined) return () => {};
  const controller = new AbortController();
  const listen = ({ type }: { type: string }) => {
    if (type === "pagehide" || (pauseHidden && isHidden())) tell("hide", true);
    else if (type !== "visibilitychange" || !isHidden()) tell("wake", type === "online" || type === "resume");
  };
  // The events of the document, too, pass the window on their way down.
  for (const type of EVENTS) addEventListener(type, listen, { capture: true, signal: controller.signal });
  listen({ type: "visibilitychange" });
  return () => controller.abort();
}
