/** What this tab keeps across reloads, until it is closed: the API key. */

/** Returns the tab's storage. Reading `sessionStorage` itself throws where the browser blocks storage. */
export type OpenBox = () => Pick<Storage, "getItem" | "setItem">;

const KEY = "hookcast.key";
const ofTab: OpenBox = () => sessionStorage;

/** Return the API key or token that was entered; null if there is none. */
export function recallKey(open = ofTab): string | null {
  try {
    return open().getItem(KEY) || null;
  } catch {
    return null;
  }
}

export function keepKey(key: string, open = ofTab): void {
  try {
    open().setItem(KEY, key);
  } catch {
    // Storage is full or blocked: the tab asks for the key again.
  }
}

/** Return whether the key is a token (a JWT), which shows the jobs of its own user. */
export function isToken(key: string | null): boolean {
  return key?.split(".").length === 3;
}
