// The browser library where only polling works, watching the jobs of an owner.
// Usage: node polled-feed.mjs <library> <server> <owner>
// Prints each state and each answer to a poll, one JSON object a line, until it is killed.
const [library, url, owner] = process.argv.slice(2);
const { createHookcast } = await import(library);
const report = (happening) => process.stdout.write(`${JSON.stringify(happening)}\n`);
const asking = async (address, init) => {
  const answer = await fetch(address, init);
  const bytes = (await answer.clone().arrayBuffer()).byteLength;
  const limit = new URL(address).searchParams.get("limit");
  if (limit !== null) report({ status: answer.status, bytes, limit });
  return answer;
};
const client = createHookcast({ url, transports: ["poll"], fetch: asking });
client.watchMine({ owner, pollInterval: 20, onUpdate: ({ requestId, version }) => report({ requestId, version }) });
