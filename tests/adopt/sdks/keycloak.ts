/** `keycloak-js`, as far as the guide uses it: a token may have expired until it is updated. */

export default class Keycloak {
  token = new URLSearchParams(location.search).get("old");

  constructor(readonly options: { url: string; realm: string; clientId: string }) {}

  async updateToken(_seconds: number) {
    this.token = new URLSearchParams(location.search).get("token");
  }
}
