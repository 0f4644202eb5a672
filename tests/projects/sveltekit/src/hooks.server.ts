/** The session of the tests: a cookie with the user's id. */

import type { Handle } from "@sveltejs/kit";

export const handle: Handle = ({ event, resolve }) => {
  event.locals.userId = event.cookies.get("user") ?? null;
  return resolve(event);
};
