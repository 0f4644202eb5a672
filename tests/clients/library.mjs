// A page that watches jobs with Hookcast's library, and keeps what it is told. A plain script, for any browser.
globalThis.begin = async ({ keyed, ...options } = {}) => {
  const { createHookcast } = await import("/hookcast.js");
  const [seen, transports, errors] = [[], [], []];
  const client = createHookcast(keyed ? { ...options, getToken: () => globalThis.mint() } : options);
  const note =
    (name) =>
    ({ requestId, version, status }) =>
      void seen.push([name, requestId, version, status]);
  const handlers = {
    onUpdate: note("update"),
    onCompleted: note("completed"),
    onFailed: note("failed"),
    onError: ({ code }) => void errors.push(code),
    onTransport: (name) => void (transports.at(-1) === name || transports.push(name)), // each watch is told
    pollInterval: 500,
  };
  const watch = (...requestIds) => {
    for (const requestId of requestIds) client.watch(requestId, handlers);
  };
  const ended = () => seen.filter(([name]) => name !== "update").map(([name, requestId]) => [name, requestId]);
  Object.assign(globalThis, { seen, transports, errors, watch, ended });
};
