import type { HookcastError } from "../errors.js";
import type { Link } from "../link.js";
import type { Env } from "../transports/transport.js";
import type { rawJson, readJob } from "../wire.js";
export async function openTabs(
  _env: Env,
  _open: (env: Env) => Link,
  _read: typeof readJob,
  _text: typeof rawJson,
  _error: typeof HookcastError,
): Promise<Link> {
  throw new Error("x");
}
