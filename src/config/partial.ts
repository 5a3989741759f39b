/**
 * What a config with mistakes still tells for sure: where its gateway listens, and which keys that one takes.
 */
import * as Result from "effect/Result"
import { parse } from "smol-toml"
import { decodeSettings, schemaMistakes } from "./check.ts"
import type { ConfiguredKey } from "./compile.ts"
import { modernise } from "./legacy.ts"
import { pathId, isTable, type KeyPath, type Table, valueAt } from "./path.ts"
import { type ParsedFile, type Sources, parseFile } from "./read.ts"
import { resolveSecrets } from "./secrets.ts"
import { type Environment, fromEnvironment } from "./sources.ts"
import { substitute } from "./substitute.ts"

/** What can be told of a config with mistakes. */
export interface PartialConfig {
  readonly host: string
  readonly port: number
  /** Where the administration listens instead. */
  readonly admin: string | undefined
  readonly authKeys: ReadonlyArray<ConfiguredKey>
}

const hostAt: KeyPath = ["server", "host"]
const portAt: KeyPath = ["server", "port"]

const addressLine = /^[ \t]*(?:server[ \t]*\.[ \t]*)?(?:host|port)[ \t]*=/

// A text that is no TOML as a whole: the lines that say where to listen, each by itself.
const addressIn = (text: string): Table => {
  let section = ""
  const found: Record<string, unknown> = {}
  for (const line of text.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    const header = /^[ \t]*\[[ \t]*([^[\]]*?)[ \t]*\][ \t]*(?:#.*)?$/.exec(line)
    if (/^[ \t]*\[/.test(line)) section = header?.[1] ?? "?"
    if (!addressLine.test(line) || (section !== "" && section !== "server")) continue
    try {
      const tree = parse(section === "" ? line : `server.${line.trimStart()}`)
      const server = tree["server"]
      if (isTable(server)) Object.assign(found, server)
    } catch {
      // The mistake is on this line.
    }
  }
  return { server: found }
}

const torn = (text: string, env: Environment): ParsedFile => ({
  substituted: substitute(addressIn(text), env),
  keyFiles: []
})

/** Host and port each from the highest source that gives a sound one, else the defaults. */
export const partialConfigOf = ({ file, env, overrides, digestOf }: Omit<Sources, "allowMissing">): PartialConfig => {
  const { substituted } = Result.getOrElse(parseFile(file, env), () => torn(file?.text ?? "", env))
  const modern = modernise(substituted.tree).tree
  const { secrets, names } = resolveSecrets(modern, env, new Map(), digestOf)
  const given = fromEnvironment(env, new Set([...substituted.names, ...names]))
  const layers = [overrides, modernise(given.tree).tree, modern].map((tree) => ({
    tree,
    wrong: new Set(
      [...(tree === modern ? substituted.mistakes : []), ...schemaMistakes(tree)].map(({ path }) => pathId(path))
    )
  }))
  const soundAt = (path: KeyPath): unknown =>
    layers
      .filter(({ wrong }) => !path.some((_, length) => wrong.has(pathId(path.slice(0, length + 1)))))
      .map(({ tree }) => valueAt(tree, path))
      .find((value) => value !== undefined)
  const [host, port, admin] = [soundAt(hostAt), soundAt(portAt), soundAt(["admin", "listen"])]
  const server = { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) }
  const sound = Result.getOrThrow(decodeSettings({ server })).server
  return {
    host: sound.host,
    port: sound.port,
    admin: typeof admin === "string" ? admin : undefined,
    authKeys: secrets.authKeys
  }
}
