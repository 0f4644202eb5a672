import { tokenRoute } from "hookcast/next";
import { currentUser } from "@/lib/session";

/** Mint stream tokens: with one the browser can watch the signed-in user's own jobs. */
export const { POST } = tokenRoute({ user: async () => (await currentUser())?.id });
