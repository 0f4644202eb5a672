// Runs lib/generate.ts of docs/adopt/vercel.md with Deno: submit_elsewhere.mjs FILE EMULATOR PROMPT USER. Prints the requestId.
// fal's client is changed in nothing but the host that it asks.
const [file, emulator, prompt, user] = Deno.args;
const original = globalThis.fetch;
globalThis.fetch = (input, init) => original(String(input).replace("https://queue.fal.run", emulator), init);
const { generate } = await import(`file://${file}`);
console.log(await generate(prompt, user));
