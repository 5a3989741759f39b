/**
 * nexus explain: why a request goes where it goes.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Argument, CliError, Command, Flag } from "effect/cli"
import type { DecisionEntry, Explained, ExplainedUnderWay, Route, TimePart } from "../api/admin-api.ts"
import { parseBoundedJson } from "../domain/bounded-json.ts"
import type { HookNote } from "../domain/hook-rules.ts"
import { printable } from "../domain/printable.ts"
import { CliFailure } from "./exit-failure.ts"
import * as flags from "./flags.ts"
import { readToken, tokenFile } from "./given-token.ts"
import { replayText } from "./replay-text.ts"
import { placeText } from "./requests.ts"
import { slotsText } from "../api/slots-text.ts"
import { jsonText, milliseconds, shownTable } from "./output.ts"

const what = "Explain a chat request for this model or alias"

const model = Flag.String("model").pipe(
  Flag.withAlias("m"),
  Flag.withMetavar("MODEL"),
  Flag.withDescription(`${what}, as when it stands by itself`),
  Flag.optional
)

const named = Argument.String("model").pipe(Argument.withDescription(what), Argument.optional)

const request = Flag.String("request").pipe(
  Flag.withAlias("r"),
  Flag.withMetavar("ID"),
  Flag.withDescription("Explain a request that was served or is under way, by its x-request-id"),
  Flag.optional
)

const tokens = Flag.Int("tokens").pipe(
  Flag.withMetavar("N"),
  Flag.filter(
    (value) => value >= 0 && value <= 2_000_000,
    (value) => `Expected 0 to 2000000 tokens, got ${value}`
  ),
  Flag.withDescription("Its prompt is of N tokens"),
  Flag.withDefault(0)
)

const key = Flag.String("key").pipe(
  Flag.withMetavar("NAME"),
  Flag.withDescription("It comes with the key of this name, or with a token by this name, such as corp:alice"),
  Flag.optional
)

const claim = Flag.String("claim").pipe(
  Flag.withMetavar("NAME=VALUE"),
  Flag.withDescription("What that token says as well, in JSON or as a text; a claim that is given again is a list"),
  Flag.atLeast(0)
)

const header = Flag.String("header").pipe(
  Flag.withMetavar("'NAME: VALUE'"),
  Flag.withDescription("It has this header, for rules that look at it"),
  Flag.atLeast(0)
)

const at = Flag.Date("at").pipe(
  Flag.withMetavar("TIME"),
  Flag.withDescription("It comes at this time, such as 2026-12-24T23:00, for rules that look at it; now when absent"),
  Flag.optional
)

const since = Flag.String("since").pipe(
  Flag.withMetavar("TIME"),
  Flag.filter(
    (value) => flags.durationMs(value) !== undefined,
    (value) => `Expected a time such as 30m or 1h, got ${value}`
  ),
  Flag.withDescription("With --replay: how far to look back, such as 30m"),
  Flag.withDefault("1h")
)

/** What a request needs, as the flags say it. */
interface Wanted {
  readonly model: string
  readonly tools: boolean
  readonly image: boolean
  readonly jsonMode: boolean
  /** Length of the prompt. */
  readonly tokens: number
}

// A word and a blank, which no tokenizer makes less of than one.
const aToken = "words "

/** A chat body that needs just that. */
const bodyFor = ({ model, tools, image, jsonMode, tokens }: Wanted) => {
  const text = { type: "text", text: aToken.repeat(tokens) }
  const picture = { type: "image_url", image_url: { url: "data:image/png;base64," } }
  return {
    model,
    messages: [{ role: "user", content: image ? [text, picture] : [text] }],
    ...(tools ? { tools: [{ type: "function", function: { name: "any", parameters: { type: "object" } } }] } : {}),
    ...(jsonMode ? { response_format: { type: "json_object" } } : {})
  }
}

const expectedTime = (ms: number | undefined): string => milliseconds(ms ?? null)

const ruleText = ({ canary, name, shadow }: NonNullable<DecisionEntry["rule"]>): string => {
  const notes = [...(canary ? ["canary"] : []), ...(shadow ? ["with a shadow"] : [])]
  return `${name ?? "none"}${notes.length === 0 ? "" : ` (${notes.join(", ")})`}`
}

// A column of its own: slots are those of the model, and what is in flight is all that the backend has.
const slotsColumn = (candidates: DecisionEntry["candidates"]): ReadonlyArray<string> | undefined => {
  const texts = candidates.map(({ slots, slots_from: from }) =>
    slots === undefined || from === undefined ? "-" : slotsText([{ slots, from }])
  )
  return texts.some((text) => text !== "-") ? texts : undefined
}

const decisionText = (
  { requested, models, strategy, rule, candidates, excluded, order }: DecisionEntry,
  attempts: number
) => {
  const [resolved = requested, ...fallbacks] = models
  const isLeftOut = (backend: string, model: string) =>
    excluded.some((each) => each.backend === backend && each.model === model)
  const lines = [
    shownTable(
      ["Model:", resolved === requested ? requested : `${requested} -> ${resolved}`],
      [
        ["Fallbacks:", fallbacks.length === 0 ? "none" : fallbacks.join(", ")],
        ["Strategy:", strategy],
        ...(rule === undefined ? [] : [["Rule:", ruleText(rule)]])
      ]
    )
  ]
  if (rule !== undefined && rule.passed.length > 0) {
    const rows = rule.passed.map(({ name, reason }) => [name, reason])
    lines.push("", shownTable(["Rule passed over", "Why"], rows))
  }
  if (candidates.length > 0) {
    const slots = slotsColumn(candidates)
    const rows = candidates.map((each, at) => [
      each.backend,
      each.model,
      each.zone ?? "-",
      expectedTime(each.expected_ms),
      expectedTime(each.parts?.wait_ms),
      expectedTime(each.parts?.load_ms),
      expectedTime(each.parts?.read_ms),
      expectedTime(each.parts?.write_ms),
      each.parts === undefined ? "-" : String(each.parts.cached_tokens),
      String(each.priority),
      String(each.in_flight),
      ...(slots === undefined ? [] : [slots[at] ?? "-"]),
      milliseconds(each.first_byte_ms)
    ])
    const heading = [
      "Candidate",
      "Model",
      "Zone",
      "Expected",
      "= Wait",
      "+ Load",
      "+ Read",
      "+ Write",
      "Cached",
      "Priority",
      "In flight"
    ]
    lines.push("", shownTable([...heading, ...(slots === undefined ? [] : ["Slots"]), "First byte"], rows, 2))
    const noted = candidates.flatMap(({ backend, note }) => (note === undefined ? [] : [`${backend}: ${note}.`]))
    if (noted.length > 0) lines.push("", ...noted)
  }
  if (excluded.length > 0) {
    const rows = excluded.map(({ backend, model, reason }) => [backend, model, reason])
    lines.push("", shownTable(["Left out", "Model", "Reason"], rows, 2))
  }
  if (order.length > 0) {
    const rows = order.map(({ backend, model, reason, fallback, native = true }, at) => [
      String(at + 1),
      backend,
      model,
      [
        reason,
        fallback ? " (fallback)" : "",
        native ? "" : " (translated)",
        isLeftOut(backend, model) ? " (last resort)" : ""
      ].join(""),
      at < attempts ? "" : "beyond max_retries"
    ])
    lines.push("", shownTable(["Order", "Backend", "Model", "Reason", ""], rows, 2))
  }
  return lines.join("\n")
}

/** Claims as they are given one by one, in JSON; undefined where there are none. */
export const claimsText = (given: ReadonlyArray<string>): string | undefined => {
  const claims = new Map<string, ReadonlyArray<unknown>>()
  for (const each of given) {
    const at = each.indexOf("=")
    const [name, text] = [each.slice(0, at), each.slice(at + 1)]
    claims.set(name, [...(claims.get(name) ?? []), parseBoundedJson(text) ?? text])
  }
  if (claims.size === 0) return undefined
  return JSON.stringify(Object.fromEntries([...claims].map(([name, all]) => [name, all.length === 1 ? all[0] : all])))
}

const keyText = ({
  admin,
  backends,
  labels,
  metrics,
  models,
  name,
  owner,
  priority,
  zones
}: NonNullable<Route["key"]>) => {
  const lists = { models, backends, zones }
  const texts = [
    ...(owner === undefined ? [] : [`owner ${owner}`]),
    ...Object.entries(labels ?? {}).map(([label, value]) => `${label} ${value}`),
    ...Object.entries(lists).flatMap(([what, all]) => (all === undefined ? [] : [`${what} ${all.join(" ")}`])),
    ...(priority === undefined ? [] : [`priority ${priority}`]),
    ...(admin === true ? ["admin"] : []),
    ...(metrics === true ? ["metrics"] : [])
  ]
  return printable(`Key: ${name}${texts.length === 0 ? "" : `: ${texts.join(", ")}`}`)
}

/** What would become of a request, for a person. */
export const routeText = ({ decision, key: of, max_retries, queue, refusal }: Route): string =>
  [
    ...(of === undefined ? [] : [keyText(of), ""]),
    decisionText(decision, 1 + max_retries),
    ...(queue === undefined ? [] : ["", `It would wait for a slot: ${placeText(queue)}`]),
    ...(refusal === null ? [] : ["", `Refused: ${refusal.status} ${refusal.code}: ${refusal.message}`])
  ].join("\n")

/** How a request stands, or has ended. */
const outcomeRows = (request: (Explained | ExplainedUnderWay)["request"]): ReadonlyArray<ReadonlyArray<string>> =>
  "outcome" in request
    ? [
        ["Outcome:", `${request.outcome}, status ${request.status}`],
        ["Duration:", milliseconds(request.duration_ms)]
      ]
    : [
        [
          "Phase:",
          `${request.phase} for ${milliseconds(request.phase_ms)}${request.queue === undefined ? "" : `, ${placeText(request.queue)}`}`
        ],
        ["So far:", `${request.bytes} bytes in ${milliseconds(request.age_ms)}`]
      ]

const hedgeWords = {
  won: "and spoke first",
  lost: "and the first one spoke first after all",
  failed: "and neither of them answered well",
  abandoned: "and nobody waited any more before one of them spoke"
} as const

const hedgeText = ({ after_ms: ms, backend, model, outcome }: NonNullable<Explained["request"]["hedge"]>): string =>
  `${backend} was asked for ${model} as well after ${milliseconds(ms)}, ${outcome === null ? "both are waited for" : hedgeWords[outcome]}`

const hookWords: Readonly<Record<HookNote["action"], string>> = {
  allow: "allowed it",
  replace: "changed it",
  block: "blocked it",
  failed: "gave no good answer",
  unseen: "could not be shown it"
}

const hookText = ({ action, calls, hook, ms, phase }: HookNote): string =>
  `${hook} ${hookWords[action]} (${phase}${calls > 1 ? `, ${calls} windows` : ""}, ${milliseconds(ms)})`

const coldText = (ms: number): string =>
  `its model was not in memory; loading it was expected to take ${milliseconds(ms)}`

const waitedMs = (line: ReadonlyArray<TimePart>): number =>
  line.reduce((sum, { from_ms: from, part, to_ms: to }) => (part === "queue" ? sum + to - from : sum), 0)

/** What became of a request, or is becoming of it. */
export const requestText = ({ request, decision, time_line: line = [] }: Explained | ExplainedUnderWay): string => {
  const waited = waitedMs(line)
  const [outcome = [], time = []] = outcomeRows(request)
  const about = shownTable(
    ["Request:", request.id],
    [
      ["At:", new Date(request.at).toISOString()],
      ["Endpoint:", request.stream ? `${request.endpoint}, streamed` : request.endpoint],
      ...(request.key === undefined ? [] : [["Key:", request.key]]),
      outcome,
      [
        "Backend:",
        request.cache === "hit"
          ? "none, its answer was kept from before"
          : request.backend === ""
            ? "none"
            : `${request.backend}, asked for ${request.upstream_model}`
      ],
      ["Attempts:", String(request.attempts)],
      ...(request.hedge === undefined ? [] : [["Hedge:", hedgeText(request.hedge)]]),
      ...(request.hooks ?? []).map((note) => ["Hook:", hookText(note)]),
      ...(request.load_ms === undefined ? [] : [["Cold:", coldText(request.load_ms)]]),
      ...(waited < 1 ? [] : [["Waited:", `${milliseconds(waited)} for a slot`]]),
      ["First byte:", milliseconds(request.first_byte_ms)],
      time
    ]
  )
  const failures = request.failures.map(({ backend, model, reason }) => [backend, model, reason])
  return [
    about,
    ...(failures.length === 0 ? [] : ["", shownTable(["Failed", "Model", "Reason"], failures, 2)]),
    "",
    decision === null
      ? "phase" in request
        ? "Nobody has been looked for yet."
        : "It was refused before a backend was looked for."
      : `By the figures of its beginning:\n${decisionText(decision, Infinity)}`
  ].join("\n")
}

/** The command. */
export const explainCommand = Command.make(
  "explain",
  {
    named,
    model,
    request,
    replay: flags.onOff(
      "replay",
      "Show what would have become of the last requests under the config that is given with --config"
    ),
    since,
    tools: flags.onOff("tools", "It offers tools"),
    image: flags.onOff("image", "It carries an image"),
    jsonMode: flags.onOff("json-mode", "It asks for JSON"),
    tokens,
    key,
    claim,
    tokenFile,
    header,
    at,
    json: flags.json,
    config: flags.config,
    host: flags.host,
    port: flags.port
  },
  Effect.fnUntraced(function* (input) {
    const options = { config: input.config, overrides: flags.addressOverrides(input) }
    const given = [input.named, input.model, input.request].filter(Option.isSome).length + (input.replay ? 1 : 0)
    if (given !== 1) {
      return yield* new CliError.ValidationError({ message: "Give one of MODEL, --request ID and --replay" })
    }
    const { explainRequest, explainRoute, replayRequests } = yield* Effect.promise(() => import("../remote/survey.ts"))
    if (input.replay) {
      const replayed = yield* replayRequests(options, flags.durationMs(input.since) ?? 0)
      return yield* Console.log(input.json ? jsonText(replayed) : replayText(replayed, input.since))
    }
    if (Option.isSome(input.request)) {
      const explained = yield* explainRequest(options, input.request.value)
      return yield* Console.log(input.json ? jsonText(explained) : requestText(explained))
    }
    const wanted = {
      ...input,
      model: Option.getOrElse(
        Option.orElse(input.model, () => input.named),
        () => ""
      )
    }
    const wrong = input.claim.find((each) => each.indexOf("=") < 1)
    if (wrong !== undefined) return yield* new CliFailure({ message: `--claim ${wrong}: expected NAME=VALUE` })
    const claims = claimsText(input.claim)
    const from = {
      ...(Option.isSome(input.key) ? { key: input.key.value } : {}),
      ...(claims === undefined ? {} : { claims }),
      ...(input.header.length > 0 ? { headers: input.header.join("\n") } : {}),
      ...(Option.isSome(input.at) ? { at: input.at.value.getTime() } : {})
    }
    const shown = Option.isSome(input.tokenFile) ? [yield* readToken(input.tokenFile.value)] : []
    const route = yield* explainRoute(options, bodyFor(wanted), from, ...shown)
    yield* Console.log(input.json ? jsonText(route) : routeText(route))
    const { refusal } = route
    if (refusal !== null) {
      return yield* new CliFailure({ message: `The request would be refused with ${refusal.status} ${refusal.code}` })
    }
  })
).pipe(
  Command.withDescription(
    "Show who could answer a request, in which order, and why the others are left out; exit code 1 when it would be refused"
  ),
  Command.withExamples([
    { command: "nexus explain gpt-4" },
    { command: "nexus explain gpt-4 --tools --tokens 20000" },
    { command: "nexus explain gpt-4 --key ci --header 'x-team: red' --at 2026-12-24T23:00" },
    { command: "nexus explain gpt-4 --key corp:alice --claim groups=llm-users" },
    { command: "nexus explain gpt-4 --token-file token.jwt" },
    { command: "nexus explain --replay --config changed.toml --since 30m" },
    { command: "nexus explain --request 68e95496-5d54-4ec4-b0e0-b39928b055ac" }
  ])
)
