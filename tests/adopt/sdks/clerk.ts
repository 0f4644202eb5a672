/** `@clerk/nextjs`, as far as the guide uses it: without `skipCache` it may return the token that is about to expire. */

export function useAuth() {
  const query = new URLSearchParams(location.search);
  const getToken = async (options?: { skipCache?: boolean }) => query.get(options?.skipCache ? "token" : "old");
  return { getToken, userId: "user" };
}
