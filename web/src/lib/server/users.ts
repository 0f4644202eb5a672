/** Who asks: every handler takes the function that knows. */

import { Refused } from "./problems.js";

type User = string | null | undefined;

/** Returns the id of the signed-in user, null if nobody is signed in. It becomes the `owner` of jobs: it never changes. */
export type UserOf<Context extends readonly unknown[]> = (...context: Context) => User | Promise<User>;

export interface UserOptions<Context extends readonly unknown[]> {
  readonly user: UserOf<Context>;
  /** Called with errors that visitors are not told; `console.error` by default. */
  readonly log?: ((error: unknown) => void) | undefined;
}

/** Return the signed-in user. Throws Refused. */
export async function signedIn<Context extends readonly unknown[]>(
  { user }: UserOptions<Context>,
  ...context: Context
): Promise<string> {
  const found = await user(...context);
  if (typeof found !== "string" || !found) throw new Refused(401, "unauthorized", "Please sign in.");
  return found;
}

/** Return the function that gets the errors which visitors are not told. */
export function logOf({ log }: { readonly log?: ((error: unknown) => void) | undefined }): (error: unknown) => void {
  // biome-ignore lint/suspicious/noConsole: a server's log
  return log ?? ((error) => console.error("hookcast:", error));
}
