/** What this tab keeps across reloads, until it is closed: the API key. */

export type Box = Pick<Storage, "getItem" | "setItem">;

const KEY = "hookcast.key";

/** Return the API key or token that was entered; null if there is none. */
export function recallKey(box: Box): string | null {
  try {
    return box.getItem(KEY) || null;
  } catch {
    return null;
  }
}

export function keepKey(box: Box, key: string): void {
  try {
    box.setItem(KEY, key);
  } catch {
    // Storage is full or blocked: the tab asks for the key again.
  }
}

/** Return whether the key is a token (a JWT), which shows the jobs of its own user. */
export function isToken(key: string | null): boolean {
  return key?.split(".").length === 3;
}
