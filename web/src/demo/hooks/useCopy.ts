/** Copying to the clipboard, with brief feedback. */

import { useEffect, useState } from "react";

const SHOWN_MS = 1_500;

/** Return whether the last copy succeeded (null again after 1.5 s), and a function that copies `text`. */
export function useCopy(text: string): readonly [done: boolean | null, copy: () => void] {
  const [done, setDone] = useState<boolean | null>(null);
  useEffect(() => {
    if (done === null) return;
    const timer = setTimeout(() => setDone(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [done]);
  return [done, () => void put(text).then(setDone)];
}

/** Copy `text`. The Clipboard API needs a secure context; elsewhere fall back to `execCommand`. */
async function put(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const [area, focused] = [document.createElement("textarea"), document.activeElement];
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return copied;
  }
}
