/** Polyfill for Node 20: Vitest reports failed tests with Map.groupBy. */
Map.groupBy ??= (items, keyOf) => {
  const groups = new Map();
  for (const [at, item] of [...items].entries()) {
    const key = keyOf(item, at);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return groups;
};
