/**
 * Looks at one backend from its address to its answers, and stops where nothing further can be told.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { nearest } from "../config/nearest.ts"
import { kindNamed } from "../backend/all.ts"
import { type Backend, isUnmeasured, locality, slotAdvice, speakerOf } from "../backend/backend.ts"
import { contextOf, type Model } from "../domain/server.ts"
import { spellingOf } from "../backend/spelling.ts"
import { isLoopback } from "../domain/url-host.ts"
import { looksLikeChatModel } from "../domain/model-purpose.ts"
import { askModelList, identify } from "../health/identify.ts"
import { makeProbe, noList } from "../health/probe.ts"
import type { ParsedAnswer } from "../backend/talk.ts"
import { askServer } from "../health/ask-server.ts"
import { leadsToKnown } from "../discovery/Finder.ts"
import { isModelList, isNexus } from "../backend/fingerprint.ts"
import { realMachine } from "../discovery/Machine.ts"
import { Transport } from "../upstream/Transport.ts"
import { tlsFix, tlsFaultText } from "../wire/tls.ts"
import { error, type Finding, info, ok, type ReportSection, warning } from "./finding.ts"
import { Dialects } from "../dialect/all.ts"
import { checkChat, checkEmbeddings, checkJsonMode, checkStream, checkTools } from "./inference.ts"
import { wrongScheme, typeFindings } from "./server-type.ts"
import { checkReachable } from "./reachability.ts"

/** How a backend is to be looked at; times in milliseconds. */
export interface Examination {
  /** Whether tokens may be spent. */
  readonly inference: boolean
  /** For each question that costs nothing. */
  readonly timeoutMs: number
  /** For each answer of a model, which may have to be loaded. */
  readonly answerMs: number
  /** Where the gateway itself listens, on this machine. */
  readonly ownPort?: number | undefined
  /** Backends that the running gateway finds healthy. */
  readonly healthyThere?: ReadonlySet<string>
}

/** Takes findings as they come. */
type Say = (...found: ReadonlyArray<Finding>) => void

const itself = (seen: string): Finding =>
  error("address", seen, "remove this [[backends]] entry, or give the address of the server that is meant")

const baseOf = (url: string): string => url.replace(/\/+$/, "")

/** Where the API of a server may be, when it is not where the config says. */
const otherBases = (url: string): ReadonlyArray<string> => {
  const origin = URL.parse(url)?.origin
  const base = baseOf(url)
  const without = base.replace(/\/(v1\/)?(chat\/completions|completions|models|embeddings|v1|api)$/, "")
  const inner = ["/api", "/openai", "/engines", "/inference"].map((path) => base + path)
  const all = [without, ...(origin === undefined ? [] : [origin]), ...inner]
  return [...new Set(all)].filter((other) => other !== base)
}

const listAt = (transport: Transport["Service"], backend: Backend, url: string, timeoutMs: number) =>
  Effect.option(askServer(transport, { ...backend, url }, { path: "/v1/models", apiPath: "/v1", timeoutMs })).pipe(
    Effect.map(Option.filter((answer) => isModelList(answer)))
  )

const listUrl = ({ apiPath = "/v1", url }: Backend): string => `${url}${apiPath}/models`

const lostPath = Effect.fnUntraced(function* (
  transport: Transport["Service"],
  backend: Backend,
  status: number,
  timeoutMs: number
) {
  const seen = `${listUrl(backend)} is no list of models (status ${status})`
  for (const url of otherBases(backend.url)) {
    if (Option.isSome(yield* listAt(transport, backend, url, timeoutMs))) {
      return error("base path", `${seen}; the API is below ${url}`, `url = "${url}"`)
    }
  }
  return undefined
})

const keyAdvice = (name: string): string => {
  const variable = `${name
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "_")
    .replace(/^(?=[0-9])/, "_")}_KEY`
  return `api_key_env = "${variable}", and export ${variable}=… before nexus serve`
}

const refused = ({ apiKey, name }: Backend, status: number): Finding =>
  apiKey === undefined
    ? error("key", `it asks for a key (status ${status})`, keyAdvice(name))
    : error(
        "key",
        `it refuses the key it is given (status ${status})`,
        "put a good key where api_key_env or api_key_file points"
      )

/** What is said of a key that is not there for whoever looks. */
const keyless = (name: string, fault: string, { healthyThere }: Examination): Finding => {
  if (healthyThere?.has(name) === true) {
    return info(
      "key",
      `${fault} in this shell, so nothing more is asked; the running gateway has its key, and finds it healthy`
    )
  }
  const variable = /^(\w+) is (not set|empty)$/.exec(fault)?.[1]
  return error(
    "key",
    variable === undefined ? fault : `${fault} in this shell`,
    variable === undefined
      ? "put the key there, where whoever runs nexus serve may read it"
      : `export ${variable}=… here, and before nexus serve; or name a file with api_key_file`
  )
}

/** What is said of an answer that is no list of models. */
const unlisted = (backend: Backend, { headers, status }: ParsedAnswer): Finding => {
  const where = listUrl(backend)
  const declared = "or name its models in [[backends.models]]"
  if (/html/i.test(headers.get("content-type") ?? "")) {
    const seen = `${where} answers with a web page, not with a list of models`
    return error(
      "models",
      seen,
      `the address of its API in url, not that of its pages or of a proxy's login; ${declared}`
    )
  }
  const seen = `${where} answers with status ${status}, and not with a list of models`
  return error("models", seen, `see what answers: curl -i ${where}; then the address of its API in url, ${declared}`)
}

/** A clock that is off by more than this makes tokens and logs useless, in milliseconds. */
const maxSkewMs = 60_000

const clock = Effect.fnUntraced(function* ({ headers }: ParsedAnswer) {
  const date = Date.parse(headers.get("date") ?? "")
  if (Number.isNaN(date)) return []
  const off = date - (yield* Clock.currentTimeMillis)
  if (Math.abs(off) <= maxSkewMs) return []
  const words = `its clock is ${Math.round(Math.abs(off) / 1000)} s ${off > 0 ? "ahead of" : "behind"} this one`
  return [warning("clock", words, "timedatectl set-ntp true")]
})

const loadWith = (type: Backend["type"], url: string): string => {
  const { hostname = "", host = "" } = URL.parse(url) ?? {}
  return kindNamed(type).advice.load?.(isLoopback(hostname) ? undefined : host) ?? "load a model in it"
}

const listed = (backend: Backend, models: ReadonlyArray<Model>, type: Backend["type"]): ReadonlyArray<Finding> => {
  const ids = models.map(({ id }) => id)
  const some = `${ids.slice(0, 5).join(", ")}${ids.length > 5 ? ", …" : ""}`
  const found =
    models.length === 0
      ? warning("models", "it serves no model", loadWith(type, backend.url))
      : ok("models", `${models.length}: ${some}`)
  const others =
    models.length === 0 ? "remove the entry, or load the model in the server" : `one of those it serves: ${some}`
  const wrong = backend.models.flatMap((told) => {
    const spelling = spellingOf(type, told.id)
    const known = models.find(
      ({ id }) => id === told.id || (spelling !== undefined && spellingOf(type, id) === spelling)
    )
    if (known === undefined) {
      const meant = nearest(told.id, ids)
      const fix = meant === undefined ? others : `[[backends.models]] id = "${meant}"`
      return [warning("models", `[[backends.models]] names ${told.id}, which it does not serve`, fix)]
    }
    const { context_length: has } = known
    return has !== undefined && told.context_length !== undefined && told.context_length > has
      ? [
          warning(
            "context",
            `${told.id}: configured with a context of ${told.context_length} tokens, the server says ${has}`,
            `context_length = ${has}`
          )
        ]
      : []
  })
  return [found, ...wrong]
}

// What servers have that give their models a few thousand tokens unless they are told otherwise.
const smallContext = 4096

const contexts = (backend: Backend, models: ReadonlyArray<Model>): ReadonlyArray<Finding> => {
  const small = models.flatMap((model) => {
    const context = contextOf(model) ?? Infinity
    return context <= smallContext ? [`${model.id} (${context})`] : []
  })
  const { longerContext } = kindNamed(backend.type).advice
  if (longerContext === undefined || small.length === 0) return []
  return [warning("context", `prompts longer than the context, in tokens, are cut: ${small.join(", ")}`, longerContext)]
}

const isChat = ({ capabilities: { vision, tools, json_mode, embeddings } }: Model): boolean =>
  embeddings !== true && !(vision === false && tools === false && json_mode === false)

const spoken = Effect.fnUntraced(function* (
  transport: Transport["Service"],
  backend: Backend,
  models: ReadonlyArray<Model>,
  timeoutMs: number,
  say: Say
) {
  const { main } = speakerOf(backend, undefined).speaking
  const dialect = (yield* Dialects).find(({ id, trials }) => id === main && trials !== undefined)
  const trials = yield* Effect.promise(async () => dialect?.trials?.())
  if (dialect === undefined || trials === undefined) return
  const chats = models.filter(isChat)
  const model = chats.find(({ id }) => looksLikeChatModel(id)) ?? chats[0]
  if (model !== undefined) {
    const target = { dialect, trials, transport, backend, model, timeoutMs }
    const first = yield* checkChat(target)
    say(first)
    if (first.severity !== "error") {
      say(yield* checkStream(target))
      if (model.capabilities.tools !== false) say(yield* checkTools(target))
      if (model.capabilities.json_mode !== false) say(yield* checkJsonMode(target))
    }
  }
  const embedding = models.find(({ capabilities }) => capabilities.embeddings === true)
  if (embedding === undefined) return
  say(yield* checkEmbeddings({ dialect, trials, transport, backend, model: embedding, timeoutMs }))
})

const abandoned = ({ collect, type }: Backend): ReadonlyArray<Finding> => {
  const { unlessCollected } = kindNamed(type).advice
  if (unlessCollected === undefined || collect === true) return []
  return [info("collect", unlessCollected, "collect = true in its [[backends]]")]
}

const forgetful = (backend: Backend, models: ReadonlyArray<Model>): ReadonlyArray<Finding> =>
  models
    .flatMap((model) => slotAdvice(backend, model) ?? [])
    .slice(0, 1)
    .map(({ fix, seen }) => info("slots", seen, fix))

const isOwn = Effect.fnUntraced(function* ({ url }: Backend, ownPort: number | undefined) {
  return ownPort !== undefined && (yield* leadsToKnown(yield* realMachine, url, [], ownPort))
})

const circle = "this is Nexus itself: it would call itself"

const examined = Effect.fnUntraced(function* (
  named: Backend,
  how: Examination,
  learnt: (models: ReadonlyArray<Model>) => void,
  say: Say
) {
  const { inference, timeoutMs, answerMs, ownPort } = how
  const transport = yield* Transport
  if (named.barred !== undefined) return say(info("zone", `nothing is asked of it: it ${named.barred}`))
  const reached = yield* checkReachable(named, timeoutMs)
  if (reached.some(({ severity }) => severity === "error")) {
    return (yield* isOwn(named, ownPort)) ? say(itself(circle)) : say(...reached)
  }
  say(...reached)
  if (named.keyFault !== undefined) return say(keyless(named.name, named.keyFault, how))
  const asked = yield* Effect.result(askModelList(transport, named, timeoutMs))
  const list = Result.map(asked, ({ answer }) => answer)
  // From here on where requests will go.
  const backend =
    asked._tag === "Failure" || named.apiPath === undefined ? named : { ...named, apiPath: asked.success.apiPath }
  if (list._tag === "Failure" || list.success.status === 400) {
    const other = yield* wrongScheme(transport, backend, timeoutMs)
    if (Option.isSome(other)) return say(other.value)
  }
  if (list._tag === "Success") {
    const { status } = list.success
    if (isNexus(list.success)) {
      const own = yield* isOwn(backend, ownPort)
      return say(itself(own ? circle : "it answers as Nexus itself does: if it is this one, it would call itself"))
    }
    if (status === 401 || status === 403) return say(refused(backend, status))
    say(...(yield* clock(list.success)))
    if (!isModelList(list.success)) {
      const lost = yield* lostPath(transport, backend, status, timeoutMs)
      if (lost !== undefined) return say(lost)
    }
  }
  const seen = yield* identify(transport, backend, timeoutMs)
  // Asked in its own words, when these are known, so that a wrong type does not hide the rest.
  const known = seen === undefined || locality(backend.type) === "cloud" ? backend : { ...backend, type: seen }
  const outcome = yield* Effect.flatten(makeProbe(transport, known, () => 2 * timeoutMs))
  say(...typeFindings(backend, seen, outcome))
  if (outcome._tag === "Refused") return say(error("key", outcome.reason))
  if (outcome._tag === "Down") {
    const why = list._tag === "Failure" && "reason" in list.failure ? list.failure.reason : outcome.reason
    const fault = list._tag === "Failure" && list.failure._tag === "Unreachable" ? list.failure.tls : undefined
    const told = list._tag === "Success" ? list.success.fault : fault
    if (told !== undefined) return say(error("TLS", tlsFaultText(told), tlsFix(told)))
    if (why === noList && list._tag === "Success") return say(unlisted(backend, list.success))
    return say(error("health", why))
  }
  const models = outcome.models ?? backend.models
  if (outcome.models !== undefined || models.length > 0) learnt([...models, ...backend.models])
  say(...listed(backend, models, known.type), ...contexts(known, models))
  say(...abandoned(known), ...forgetful(known, models))
  if (!inference) return
  yield* spoken(transport, backend, models, answerMs, say)
  if (!models.some((model) => isUnmeasured(known, model))) return
  // What has been loaded for this has a context now.
  const after = yield* Effect.flatten(makeProbe(transport, known, () => 2 * timeoutMs))
  const measured = after._tag === "Up" ? (after.models ?? []) : []
  const before = new Set(models.flatMap((model) => (isUnmeasured(known, model) ? [] : [model.id])))
  say(
    ...contexts(
      known,
      measured.filter(({ id }) => !before.has(id))
    )
  )
})

/** What a backend is, in few words. */
export const aboutOf = ({ type, url }: Backend): string => `${type}, ${url}`

/** What was found of a backend, and the names of its models; undefined when it does not tell. */
export interface Examined extends ReportSection {
  readonly models: ReadonlyArray<string> | undefined
}

/** Looks at one backend; never fails. `tell` is called with each finding as it comes. */
export const examineBackend = (
  backend: Backend,
  how: Examination,
  tell: (finding: Finding) => void = () => undefined
): Effect.Effect<Examined, never, Transport> =>
  Effect.suspend(() => {
    const findings: Array<Finding> = []
    const say: Say = (...found) => {
      findings.push(...found)
      found.forEach(tell)
    }
    let models: ReadonlyArray<string> | undefined
    const learnt = (list: ReadonlyArray<Model>) => {
      models = list.map(({ id }) => id)
    }
    return Effect.map(examined(backend, how, learnt, say), () => ({
      name: backend.name,
      about: aboutOf(backend),
      findings,
      models
    }))
  })
