/** The jobs of a user, live; `?server=` is where Hookcast is, `?token=` the user's stream token. */

import { HookcastPlugin } from "hookcast/vue";
import { createApp } from "vue";
import App from "./App.vue";

const query = new URLSearchParams(location.search);
createApp(App)
  .use(HookcastPlugin, { url: query.get("server") ?? "/", getToken: () => query.get("token") })
  .mount("#app");
