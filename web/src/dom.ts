/** Small helpers for the page's own markup. */

export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`The page has no #${id}`);
  return found;
}

/** The element inside `root` with this `data-testid` or `data-part`. */
export function part(root: HTMLElement, name: string): HTMLElement {
  const found = root.querySelector(`[data-testid="${name}"], [data-part="${name}"]`);
  if (!(found instanceof HTMLElement)) throw new Error(`The card has no part ${name}`);
  return found;
}

/** Sets the text, and hides the element when there is none. Untouched when equal: a live region then stays quiet. */
export function say(element: HTMLElement, text: string | null): void {
  const next = text ?? "";
  if (element.textContent !== next) element.textContent = next;
  element.hidden = next === "";
}

/** Copies `text` and says so on the button for a moment. */
export async function copyFrom(button: HTMLElement, text: string): Promise<void> {
  const label = button.textContent;
  if (button.dataset.copied === "true") return;
  const copied = await copy(text);
  button.dataset.copied = "true";
  button.textContent = copied ? "Copied" : "Press Ctrl+C";
  setTimeout(() => {
    button.textContent = label;
    delete button.dataset.copied;
  }, 1_200);
}

/** The clipboard API exists in secure contexts only; elsewhere the old command still works. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "offscreen";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
