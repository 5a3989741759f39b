/**
 * What `serve` tells a person once it listens.
 */
import type { BackendEntry } from "../api/backend-entry.ts"
import { chooseModels } from "../connect/suitable-models.ts"
import { clientBaseUrl } from "../connect/client-setup.ts"
import { curl } from "../connect/settings.ts"
import { isLoopback } from "../domain/url-host.ts"
import { soughtLabels } from "../backend/all.ts"
import { oneSpelling } from "../backend/spelling.ts"
import { printable } from "../domain/printable.ts"
import { jsonLine } from "../telemetry/log-line.ts"
import type { LogNaming } from "../telemetry/log-names.ts"
import { tableText } from "./output.ts"

/** All the banner speaks of. */
export interface BannerFacts {
  readonly version: string
  /** Base URL without a trailing slash. */
  readonly url: string
  readonly configPath: string | undefined
  /** Whether clients must send a key. */
  readonly keysNeeded: boolean
  /** Whether local ports are being looked at. */
  readonly discovering: boolean
  readonly backends: ReadonlyArray<BackendEntry>
  readonly warnings: ReadonlyArray<string>
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const isHere = (url: string): boolean => isLoopback(URL.parse(url)?.hostname ?? "")

const markOf = ({ origin, url }: BackendEntry): string => {
  switch (origin) {
    case "config":
      return ""
    case "added":
      return "added"
    case "discovered":
      return isHere(url) ? "found on this machine" : "found on the network"
    case "member":
      return "followed"
    case "simulated":
      return "SIMULATED"
  }
}

const nameList = (ids: ReadonlyArray<string>): string =>
  ids.length <= 4 ? ids.join(", ") : `${ids.slice(0, 4).join(", ")} and ${ids.length - 4} more`

const row = (entry: BackendEntry): ReadonlyArray<string> => [
  `  ${entry.name}`,
  entry.url,
  entry.type,
  entry.status === "healthy" || entry.status === "unknown" ? entry.status : `${entry.status}: ${entry.reason}`,
  entry.models.length === 0 ? "-" : nameList(entry.models.map(({ id }) => id)),
  markOf(entry)
]

/** A command that asks the best chat model something; undefined while there is none. */
export const curlLine = ({ url, backends, keysNeeded }: BannerFacts): string | undefined => {
  const [model] = chooseModels(backends).chat
  return model === undefined
    ? undefined
    : curl({ baseUrl: clientBaseUrl(url), keyNeeded: keysNeeded, model, others: [], embedder: undefined })
}

const nothingYet = (discovering: boolean): string =>
  discovering
    ? `  none yet; looking at the well-known ports of this machine (${soughtLabels.join(", ")})`
    : "  none; add [[backends]] to nexus.toml, or see `nexus serve --demo`"

const modelCount = (backends: ReadonlyArray<BackendEntry>): number => {
  const listedAs = oneSpelling()
  const healthy = backends.filter(({ status }) => status === "healthy")
  return new Set(healthy.flatMap(({ models, type }) => models.map(({ id }) => listedAs(type, id)))).size
}

/** The same as one line of a JSON log; `time` in milliseconds since 1970. */
export const bannerLine = (started: BannerFacts, time: number, naming?: LogNaming): string => {
  const { version, url, configPath, backends, warnings } = started
  const fields = {
    version,
    url,
    config: configPath ?? null,
    backends: backends.length,
    models: modelCount(backends),
    simulated: backends.some(({ origin }) => origin === "simulated"),
    warnings,
    try: curlLine(started) ?? null
  }
  return jsonLine({ time, level: "info", message: "listening", fields }, naming)
}

/** The whole text, without a line feed at its end. */
export const banner = (started: BannerFacts): string => {
  const { version, url, configPath, discovering, backends, warnings } = started
  const curl = curlLine(started)
  const [heading = "", ...lines] =
    backends.length === 0
      ? ["", nothingYet(discovering)]
      : tableText(["  Name", "URL", "Type", "Status", "Models", ""], backends.map(row)).split("\n")
  return [
    `Nexus ${version} listens on ${url}`,
    `Config: ${configPath ?? "no config file, defaults"}`,
    ...warnings.map((warning) => `Warning: ${printable(warning)}`),
    ...(backends.some(({ origin }) => origin === "simulated")
      ? ["Demo: backends marked SIMULATED are not language models; their answers are made up."]
      : []),
    "",
    `${plural(backends.length, "backend")}, ${plural(modelCount(backends), "model")}`,
    ...(heading === "" ? [] : [heading]),
    ...lines,
    ...(curl === undefined ? [] : ["", "Try:", `  ${curl}`])
  ].join("\n")
}
