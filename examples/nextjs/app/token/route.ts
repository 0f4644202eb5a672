import { streamToken } from "@/lib/hookcast";
import { sentence } from "@/lib/sentences";
import { currentUser } from "@/lib/session";

/** Mint a stream token: with it the browser can watch the signed-in user's own jobs. */
export async function POST(): Promise<Response> {
  const user = await currentUser();
  if (!user) return Response.json({ error: "Please sign in." }, { status: 401 });
  try {
    const token = await streamToken(user.id);
    return Response.json({ token }, { headers: { "Cache-Control": "no-store" } });
  } catch (error) {
    return Response.json({ error: sentence(error) }, { status: 502 });
  }
}
