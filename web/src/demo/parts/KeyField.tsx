/** The form for the API key that the server requires. */

import { type FormEvent, useEffect, useRef } from "react";

export function KeyField({ onKey }: { readonly onKey: (key: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  // The form appears after Generate: focus it so that the user can type at once.
  useEffect(() => input.current?.focus(), []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const key = input.current?.value.trim() ?? "";
    if (key !== "") onKey(key);
  };
  return (
    <form className="access panel" aria-labelledby="access-title" onSubmit={submit}>
      <h2 id="access-title">This server wants a key</h2>
      <label htmlFor="key">API key or token</label>
      <input
        id="key"
        type="password"
        autoComplete="off"
        spellCheck={false}
        required
        ref={input}
        aria-describedby="key-hint"
        data-testid="key"
      />
      <button type="submit" className="generate" data-testid="unlock">
        Use it
      </button>
      <p className="hint" id="key-hint">
        One of its <code>HOOKCAST_API_KEYS</code>; a token can watch, but not start jobs. It stays in this tab, until
        the tab is closed.
      </p>
    </form>
  );
}
