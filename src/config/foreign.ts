/**
 * Files that are given for a nexus.toml and are something else.
 */

const first = (text: string): string => text.split("\n").find((line) => !/^\s*(#.*)?$/.test(line)) ?? ""

const owners: ReadonlyArray<readonly [owner: string, sign: RegExp]> = [
  ["LiteLLM", /^(model_list|litellm_settings|general_settings|router_settings):/m],
  ["llama-swap", /^ +cmd:/m],
  ["Olla", /^ +endpoints:/m]
]

const isYaml = (path: string, text: string): boolean => {
  const line = first(text)
  return /^---\s*$/.test(line) || /^['"]?[\w.-]+['"]?\s*:(\s|$)/.test(line) || /\.ya?ml$/i.test(path)
}

/** What a text that is no TOML is instead, and what makes a nexus.toml of it; undefined when that is not to be told. */
export const foreignWords = (path: string, text: string): string | undefined => {
  if (text.includes("\0")) return "it is no text; -c takes a nexus.toml"
  if (isYaml(path, text)) {
    const [owner] = owners.find(([, sign]) => sign.test(text)) ?? []
    const whose = owner === undefined ? "this is YAML" : `this is a file of ${owner} (YAML)`
    return `${whose}, and Nexus reads TOML; nexus config import ${path} -o nexus.toml makes one of the settings of LiteLLM, Olla and llama-swap`
  }
  return /^\s*\{/.test(first(text)) ? "this is JSON, and Nexus reads TOML" : undefined
}
