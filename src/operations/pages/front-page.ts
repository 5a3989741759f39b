/**
 * The page that a person sees who opens the address of the gateway: how it is, which models there are, and how to ask them.
 */
import { chooseModels } from "../../connect/suitable-models.ts"
import { clientBaseUrl, keyVariable, shellWord } from "../../connect/client-setup.ts"
import { curl } from "../../connect/settings.ts"
import { printable } from "../../domain/printable.ts"
import type { BackendEntry } from "../../api/backend-entry.ts"
import type { ModelEntry } from "../../api/gateway-api.ts"
import { columnsOf, documentOf, escaped, type Page, tableOf } from "./html.ts"

/** All the page speaks of. */
export interface FrontPageData {
  readonly version: string
  /** Where the client has reached the gateway. */
  readonly origin: string
  readonly needsKey: boolean
  readonly isAdministration: boolean
  /** How the gateway is; undefined for who may not know. */
  readonly state:
    | { readonly backends: ReadonlyArray<BackendEntry>; readonly models: ReadonlyArray<ModelEntry> }
    | undefined
}

// A page is for reading; whoever wants all of them asks /v1/models.
const most = 200

const about = "One OpenAI-compatible endpoint in front of every LLM server"

const stateOf = ({ status, mode, reason }: BackendEntry): string =>
  `${mode === "enabled" ? status : mode}${reason === "" || reason === mode ? "" : `: ${reason}`}`

const countOf = ({ models }: BackendEntry): string => `${models.length} ${models.length === 1 ? "model" : "models"}`

const left = (count: number, where: string): string | undefined =>
  count > most ? `and ${count - most} more: ${where}` : undefined

/** How to ask; undefined while there is nobody to ask. */
const commandOf = ({ origin, needsKey, state }: FrontPageData): string | undefined => {
  const baseUrl = clientBaseUrl(origin)
  if (state === undefined) return `curl -s ${shellWord(`${baseUrl}/models`)} -H "Authorization: Bearer $${keyVariable}"`
  const [model] = chooseModels(state.backends).chat
  return model === undefined
    ? undefined
    : curl({ baseUrl, keyNeeded: needsKey, model, others: [], embedder: undefined })
}

const keyLine = ({ needsKey }: FrontPageData): string =>
  needsKey ? `one of this gateway's, as 'Authorization: Bearer $${keyVariable}'` : "none needed; any will do"

const placeLines = (front: FrontPageData): ReadonlyArray<readonly [string, string]> =>
  front.isAdministration
    ? [["Here", "the administration, below /admin/v1; models are asked at the gateway's other address"]]
    : [
        ["Base URL", clientBaseUrl(front.origin)],
        ["API key", keyLine(front)]
      ]

const links: ReadonlyArray<readonly [path: string, what: string]> = [
  ["/docs", "the API"],
  ["/v1/models", "models as JSON"],
  ["/health", "state as JSON"],
  ["/metrics", "figures for Prometheus"]
]

const untold = "Models and backends are shown to who sends a key"

const textOf = (front: FrontPageData): string => {
  const { version, state, isAdministration } = front
  const command = isAdministration ? undefined : commandOf(front)
  const rows = (state?.backends ?? [])
    .slice(0, most)
    .map((each) => [each.name, each.type, stateOf(each), countOf(each)])
  const models = (state?.models ?? []).slice(0, most).map(({ id, backends }) => [id, backends.join(", ")])
  const told = (heading: string, count: number, all: ReadonlyArray<ReadonlyArray<string>>, where: string) => {
    const more = left(count, where)
    const shown = columnsOf(all.map((cells) => cells.map(printable)))
    return ["", `${heading} (${count})`, ...shown, ...(more === undefined ? [] : [`  ${more}`])]
  }
  return [
    `Nexus ${version}: ${about}`,
    "",
    ...columnsOf(placeLines(front)).map((line) => line.trimStart()),
    ...(state === undefined
      ? ["", untold]
      : [
          ...told("Backends", state.backends.length, rows, "/nexus/backends"),
          ...told("Models", state.models.length, models, "/v1/models")
        ]),
    ...(command === undefined ? [] : ["", "Try", ...command.split("\n").map((line) => `  ${line}`)]),
    "",
    ...columnsOf(links).map((line) => line.trimStart()),
    ""
  ].join("\n")
}

const code = (text: string): string => `<code>${escaped(text)}</code>`

const htmlOf = (front: FrontPageData): string => {
  const { version, state, isAdministration } = front
  const command = isAdministration ? undefined : commandOf(front)
  const more = (count: number, where: string) => {
    const words = left(count, where)
    return words === undefined ? "" : `\n<p class="dim">${escaped(words)}</p>`
  }
  const rows = (state?.backends ?? [])
    .slice(0, most)
    .map((each) => [
      escaped(each.name),
      escaped(each.type),
      `<span class="${each.mode === "enabled" ? each.status : "dim"}">${escaped(stateOf(each))}</span>`,
      countOf(each)
    ])
  const models = (state?.models ?? [])
    .slice(0, most)
    .map(({ id, backends }) => [code(id), escaped(backends.join(", "))])
  const told =
    state === undefined
      ? `<p class="dim">${untold}.</p>`
      : `<h2>Backends (${state.backends.length})</h2>
${rows.length === 0 ? '<p class="dim">None yet.</p>' : tableOf(["Name", "Type", "State", "Models"], rows)}${more(state.backends.length, "/nexus/backends")}
<h2>Models (${state.models.length})</h2>
${models.length === 0 ? '<p class="dim">None yet.</p>' : tableOf(["Name", "Served by"], models)}${more(state.models.length, "/v1/models")}`
  return documentOf(
    "Nexus",
    `<h1>Nexus</h1>
<p class="dim">${about} · ${escaped(version)}</p>
${tableOf(
  ["", ""],
  placeLines(front).map(([name, value]) => [name, code(value)])
)}
${command === undefined ? "" : `<h2>Try</h2>\n<pre>${escaped(command)}</pre>`}
${told}
<h2>More</h2>
<p>${links.map(([path, what]) => `<a href="${path}">${path}</a> ${what}`).join(" · ")}</p>`
  )
}

/** The page, in both forms. */
export const frontPage = (front: FrontPageData): Page => ({ text: textOf(front), html: htmlOf(front) })
