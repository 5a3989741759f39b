/**
 * Aliases: the names clients use for models that are called otherwise.
 */

/** Hops a chain of aliases may have; longer ones are refused when the config is read. */
export const maxAliasHops = 3

/** The model a name stands for. An alias goes before a model of the same name. */
export const resolveAlias = (name: string, aliases: ReadonlyMap<string, string>): string => {
  let resolved = name
  for (let hop = 0; hop < maxAliasHops; hop++) {
    const next = aliases.get(resolved)
    if (next === undefined) return resolved
    resolved = next
  }
  return resolved
}

/** All names from one to the model it stands for, both included. */
export const aliasChain = (name: string, aliases: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const chain = [name]
  for (let next = aliases.get(name); next !== undefined && chain.length <= maxAliasHops; next = aliases.get(next)) {
    chain.push(next)
  }
  return chain
}
