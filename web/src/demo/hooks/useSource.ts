/** The source of a player. A new one continues where the last one was: nobody notices the change to another copy. */

import { type RefObject, useLayoutEffect, useRef } from "react";

export function useSource<T extends HTMLMediaElement>(url: string): RefObject<T | null> {
  const player = useRef<T>(null);
  useLayoutEffect(() => {
    const element = player.current;
    const before = element?.getAttribute("src");
    if (!element || before === url) return;
    const { currentTime, paused } = element;
    element.src = url;
    if (before === null) return;
    if (currentTime > 0) {
      element.currentTime = currentTime; // before there are metadata, this is where playback starts
      element.autoplay = !paused;
    }
    if (!paused) element.play().catch(() => {});
  }, [url]);
  return player;
}
