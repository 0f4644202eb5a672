/** `firebase/auth`, as far as the guide uses it. */

export function getAuth() {
  return { currentUser: { getIdToken: async () => new URLSearchParams(location.search).get("token") } };
}
