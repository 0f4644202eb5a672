/** Vitest prints failed tests with Map.groupBy, which Node 20 lacks. */
Map.groupBy ??= (items, keyOf) => {
  const groups = new Map();
  for (const [at, item] of [...items].entries()) {
    const key = keyOf(item, at);
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return groups;
};
