/**
 * The nexus.toml that `nexus setup` writes.
 */
import { stringify } from "smol-toml"
import { printable } from "../../domain/printable.ts"

/** Where the key of a backend is: in a variable, or in a file beside the nexus.toml. */
export type KeyPlace = { readonly variable: string } | { readonly file: string }

/** A server that is written down. */
interface ChosenServer {
  readonly name: string
  readonly url: string
  readonly type: string
  readonly models: ReadonlyArray<string>
}

/** A cloud provider that is written down. */
export interface ChosenCloud {
  readonly name: string
  readonly url: string
  readonly type: string
  readonly key: KeyPlace
}

/** All that was found and answered. */
export interface SetupChoices {
  readonly port: number
  /** Machines to look at, as `[discovery] hosts` takes them. */
  readonly hosts: ReadonlyArray<string>
  readonly servers: ReadonlyArray<ChosenServer>
  readonly clouds: ReadonlyArray<ChosenCloud>
}

/** A pair as the file holds it; a `${` in it stands for itself. */
const pair = (key: string, value: string | number | ReadonlyArray<string>): string =>
  stringify({ [key]: typeof value === "string" ? value.replaceAll("${", () => "$${") : value }).trimEnd()

const comment = (text: string): string => `# ${printable(text)}`

/** Some names of a list, and how many there are. */
export const someNames = (models: ReadonlyArray<string>): string => {
  const shown = models.slice(0, 3).join(", ")
  const count = `${models.length} model${models.length === 1 ? "" : "s"}`
  return models.length === 0 ? "no model yet" : `${count}: ${shown}${models.length > 3 ? ", …" : ""}`
}

const serverEntry = ({ name, url, type, models }: ChosenServer): ReadonlyArray<string> => [
  comment(`Found; when this was written it had ${someNames(models)}.`),
  "[[backends]]",
  pair("name", name),
  pair("url", url),
  pair("type", type),
  ""
]

const cloudEntry = ({ name, url, type, key }: ChosenCloud): ReadonlyArray<string> => [
  comment(
    "variable" in key
      ? `The key is in the variable ${key.variable}, which the gateway has to see.`
      : `The key is in ${key.file} beside this file, which only its owner may read.`
  ),
  "[[backends]]",
  pair("name", name),
  pair("url", url),
  pair("type", type),
  `${pair("priority", 100)}    # lower is preferred: servers of your own, which have 50, go first`,
  "variable" in key ? pair("api_key_env", key.variable) : pair("api_key_file", key.file),
  ""
]

/** The text of the file. */
export const setupFile = ({ port, hosts, servers, clouds }: SetupChoices): string => {
  const example = servers.flatMap(({ models }) => models)[0] ?? "llama3:8b"
  return [
    "# Made by `nexus setup`. Every key: nexus config schema --markdown",
    "# After a change: nexus config check. A gateway that runs takes a change over by itself.",
    "",
    "[server]",
    `host = "127.0.0.1"    # this machine alone; for others, make a key with \`nexus keys new\` and listen on 0.0.0.0`,
    pair("port", port),
    "",
    "[discovery]",
    "# Servers that are started later on the well-known ports of this machine are found by themselves.",
    "enabled = true",
    hosts.length === 0 ? '# hosts = ["gpu-box"]    # and those of other machines' : pair("hosts", hosts),
    "# mdns = true    # and those that announce themselves on a network that you trust",
    "",
    ...servers.flatMap(serverEntry),
    ...clouds.flatMap(cloudEntry),
    "# Names that clients use = the models they stand for.",
    "[routing.aliases]",
    comment(pair("gpt-4", example)),
    ""
  ].join("\n")
}
