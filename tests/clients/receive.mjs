// Verifies a webhook with the official library of Standard Webhooks. Reads {secret, headers, body} from standard input;
// prints the event's type, or the name of the error.
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(await text(process.stdin));
try {
  console.log(new Webhook(secret).verify(body, headers).type);
} catch (error) {
  console.log(error.constructor.name);
}
