/**
 * Carries out what an administrator asks of the running gateway: reloads, and changes of its backends.
 */
import { resolve } from "node:path"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { addBackend, type BackendKeys, removeBackend } from "../config/edit.ts"
import { ConfigInvalid, type ConfigOptions, defaultFile, NexusConfig, readConfigText } from "../config/NexusConfig.ts"
import type { ReadConfig } from "../config/read.ts"
import { shownSettings } from "../config/show.ts"
import type { Backend } from "../backend/backend.ts"
import { BackendNotFound, BadRequest, ConfigRefused, Conflict } from "../domain/errors.ts"
import { plainType } from "../backend/all.ts"
import { serverOf } from "../domain/url-host.ts"
import { firstLookMs, inspectServer } from "../health/identify.ts"
import type { ProbeOutcome } from "../domain/backend-health.ts"
import { makeProbe } from "../health/probe.ts"
import { Control, type NotChanged } from "../operations/Control.ts"
import type { BackendChange, ReloadChanges, NewBackend } from "../api/control-api.ts"
import { backendEntry } from "../operations/handlers/health-pages.ts"
import { Registry } from "../registry/Registry.ts"
import { Transport } from "../upstream/Transport.ts"
import { type ReloadOutcome, Reloader } from "./Reloader.ts"

/** How long it may take until a backend is known to be waking, in milliseconds. */
const wakingMs = 500

const draftPath = "new backend"

const told = ({ generation, changes }: ReloadOutcome): ReloadChanges => ({
  generation,
  changes: changes.map(({ key, before, after, restart }) => ({
    key,
    before: before ?? null,
    after: after ?? null,
    needs_restart: restart
  }))
})

const refused = ({ message }: ConfigInvalid) => new ConfigRefused({ message })

const routingOf = ({ loaded: { settings } }: ReadConfig): Readonly<Record<string, unknown>> => {
  const { backends, routes, routing } = settings
  return { backends, routes, routing }
}

const keysOf = (
  { url, type, zone, priority, max_concurrent, api_key_env, insecure_skip_verify }: NewBackend,
  name: string
): BackendKeys => ({
  name,
  url,
  type,
  zone,
  priority,
  max_concurrent,
  api_key_env,
  insecure_skip_verify
})

// Mistakes of a backend that stands in no file are told by their keys alone.
const inItsWords = ({ message }: ConfigInvalid) =>
  new BadRequest({ message: message.replaceAll(/^new backend:\d+(:\d+)?: (backends\[0\]\.)?/gm, ""), param: null })

/** A name for a server: what it is and where. */
const nameFor = (label: string, url: string, taken: (name: string) => boolean): string => {
  const { hostname, port, protocol } = new URL(url)
  const local = /^(localhost|127\..*|\[::1\])$/.test(hostname)
  const place = [local ? "" : hostname.replace(/[^A-Za-z0-9.]+/g, "-"), port || (protocol === "https:" ? "443" : "80")]
  const base = [label, ...place.filter((part) => part !== "")].join("-").slice(0, 60)
  let name = base
  for (let count = 2; taken(name); count += 1) name = `${base}-${count}`
  return name
}

const locked = (url: string, variable: string | undefined) =>
  new BadRequest({
    message:
      variable === undefined
        ? `The server at ${url} wants a key: name the variable of the gateway that holds it (--api-key-env, api_key_env)`
        : `The server at ${url} refuses the key in ${variable}; --api-key-env (api_key_env) names another one`,
    param: "api_key_env"
  })

const nexusThere = (url: string, itself: boolean) =>
  new BadRequest({
    message: itself
      ? `This Nexus itself answers at ${url}; it cannot be a backend of itself`
      : `A Nexus answers at ${url}; to put it behind this one, give its type (--type ${plainType})`,
    param: "url"
  })

const isTwin = (a: Backend, b: Backend): boolean =>
  serverOf(a.url) === serverOf(b.url) && Equal.equals(a.apiKey, b.apiKey) && Equal.equals(a.tls, b.tls)

/** What a person should know of a backend that was written down. */
const noteOn = (isNewFile: boolean, name: string, found: string | undefined): string | null => {
  const notes = [
    ...(isNewFile ? ["The gateway had no config file and goes by this one from now on"] : []),
    ...(found === undefined ? [] : [`It was found by itself before${found === name ? "" : `, as ${found}`}`])
  ]
  return notes.length === 0 ? null : notes.join(". ")
}

const cannotWrite = (path: string) => new Conflict({ message: `${path} cannot be written: the system refuses` })

/** How a file begins that `--save` makes; where it stands, the gateway looks for it at its next start. */
const heading = `# Made by \`nexus backends add --save\`. Servers on the well-known ports of this machine are found beside the backends
# below; \`enabled = false\` under [discovery] leaves these alone. Every key: \`nexus config schema --markdown\`
`

/** Makes a file that is not there yet. */
const create = (path: string, text: string): Effect.Effect<void, Conflict> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.writeFileString(path, text, { flag: "wx" })).pipe(
    Effect.mapError(() => cannotWrite(resolve(path))),
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the files of this machine are all it ever writes
    Effect.provide(NodeFileSystem.layer)
  )

/** Puts a text in the place of a file in one step, under the same rights; a link keeps leading where it leads. */
const rewrite = (path: string, text: string): Effect.Effect<void, Conflict> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const file = yield* fs.realPath(path)
    const { mode } = yield* fs.stat(file)
    const draft = `${file}.${crypto.randomUUID().slice(0, 8)}.new`
    yield* fs.writeFileString(draft, text, { mode: mode & 0o777 }).pipe(
      Effect.andThen(fs.rename(draft, file)),
      Effect.onError(() => Effect.ignore(fs.remove(draft)))
    )
  }).pipe(
    Effect.mapError(() => cannotWrite(path)),
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the files of this machine are all it ever writes
    Effect.provide(NodeFileSystem.layer)
  )

/** Whether an address leads to a port of this machine. */
const leadsHere = (url: string, port: number): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const { leadsToKnown } = yield* Effect.promise(() => import("../discovery/Finder.ts"))
    const { realMachine } = yield* Effect.promise(() => import("../discovery/Machine.ts"))
    return yield* leadsToKnown(yield* realMachine, url, [], port)
  })

const makeControl = Effect.fnUntraced(function* (from: ConfigOptions, ownPort: () => number) {
  const config = yield* NexusConfig
  const registry = yield* Registry
  const transport = yield* Transport
  const reloader = yield* Reloader
  // Whether a name or a server is taken must still hold when the backend is put.
  const lock = yield* Semaphore.make(1)

  const stateOf = (name: string) => registry.snapshot().backends.get(name)
  const isTaken = (name: string): boolean => stateOf(name) !== undefined
  const known = () => [...registry.snapshot().backends.keys()].slice(0, 20)

  const there = (name: string) =>
    Effect.suspend(() => {
      const state = stateOf(name)
      return state === undefined
        ? Effect.fail(new BackendNotFound({ name: name.slice(0, 100), known: known() }))
        : Effect.succeed(state)
    })

  const changed = (name: string, saved: string | null, note: string | null) =>
    Effect.map(there(name), (state): BackendChange => {
      const { url, type, mode, status, models, in_flight } = backendEntry(state, performance.now())
      return { name, url, type, mode, status, models: models.length, in_flight, saved, note }
    })

  type Change = (text: string) => Result.Result<string, string>

  // Nothing is written that would not be taken over.
  const write = Effect.fnUntraced(function* ({ file }: ReadConfig, change: Change) {
    const path = file?.path ?? defaultFile
    const text = yield* Effect.fromResult(change(file?.text ?? heading)).pipe(
      Effect.mapError((reason) => new Conflict({ message: `${path}: ${reason}` }))
    )
    yield* readConfigText({ path, text }, from.overrides, from.allowMissing)
    yield* file === undefined ? create(path, text) : rewrite(path, text)
    return file === undefined ? resolve(path) : path
  })

  /** Edits the file the config comes from, and takes it over. */
  const edit = (change: Change) =>
    reloader
      .amend((read) => write(read, change))
      .pipe(Effect.mapError((error) => (error instanceof ConfigInvalid ? refused(error) : error)))

  const compiled = Effect.fnUntraced(function* (asked: NewBackend, name: string) {
    const draft = addBackend("", keysOf(asked, name))
    const text = yield* Effect.fromResult(draft).pipe(
      Effect.mapError((reason) => new BadRequest({ message: reason, param: null }))
    )
    const { privacy, server } = config.current().settings
    const read = yield* readConfigText({ path: draftPath, text }, { privacy, server }, "none").pipe(
      Effect.mapError(inItsWords)
    )
    const [backend] = read.loaded.backends
    if (backend === undefined) return yield* new BadRequest({ message: "no backend", param: null })
    return { ...backend, origin: "added" } satisfies Backend
  })

  const typeOf = Effect.fnUntraced(function* (asked: NewBackend) {
    const backend = yield* compiled(asked, asked.name ?? "new")
    const isHere = yield* leadsHere(backend.url, ownPort())
    const given = asked.type
    if (given !== undefined && !isHere) return given
    const kind = yield* inspectServer(transport, backend, firstLookMs)
    // Another server may have the port at another address of this machine.
    if (kind === "nexus" && (isHere || given === undefined)) return yield* nexusThere(backend.url, isHere)
    if (given !== undefined) return given
    if (kind === "locked") return yield* locked(backend.url, asked.api_key_env)
    if (kind !== undefined && kind !== "nexus") return kind
    const outcome = yield* Effect.flatten(makeProbe(transport, backend, () => firstLookMs))
    const why = outcome._tag === "Down" ? ` (${outcome.reason})` : ""
    return yield* new BadRequest({
      message: `No LLM server that can be told apart answers at ${backend.url}${why}; give its type to add it all the same, or ask \`nexus doctor\``,
      param: "url"
    })
  })

  const nameFree = (name: string | undefined) =>
    name !== undefined && isTaken(name)
      ? Effect.fail(
          new Conflict({ message: `There is a backend '${name}' already; remove it first, or choose another name` })
        )
      : Effect.void

  const put = Effect.fnUntraced(function* (
    whole: NewBackend,
    label: string,
    outcome: ProbeOutcome | undefined
  ): Effect.fn.Return<BackendChange, NotChanged> {
    const draft = yield* compiled(whole, whole.name ?? "new")
    const twin = [...registry.snapshot().backends.values()].find((state) => isTwin(state.backend, draft))?.backend
    const isSaved = outcome === undefined
    // What was found by itself may be written down: the file has it from then on.
    const found = isSaved && twin?.origin === "discovered" ? twin.name : undefined
    if (twin !== undefined && found === undefined) {
      const hint = twin.origin === "discovered" ? ", found by itself; --save writes it down" : " already"
      return yield* new Conflict({ message: `'${twin.name}' is the same server with the same key${hint}` })
    }
    const name = whole.name ?? found ?? nameFor(label, whole.url, isTaken)
    if (name !== found) yield* nameFree(name)
    if (isSaved) {
      const isNew = config.current().path === undefined
      const file = yield* edit((text) => addBackend(text, keysOf(whole, name)))
      return yield* changed(name, file, noteOn(isNew, name, found))
    }
    const backend = { ...draft, name }
    yield* registry.put(backend)
    yield* registry.noteProbe(name, outcome)
    yield* Effect.annotateLogs(Effect.logInfo("backend added"), { backend: name, url: backend.url })
    return yield* changed(name, null, "It is gone at the next start of the gateway; --save keeps it")
  })

  const add = Effect.fnUntraced(function* (asked: NewBackend): Effect.fn.Return<BackendChange, NotChanged> {
    const isFound = asked.name !== undefined && stateOf(asked.name)?.backend.origin === "discovered"
    // Whether a found one of that name is this very server is seen when its kind is known.
    if (!(isFound && asked.save === true)) yield* nameFree(asked.name)
    const type = yield* typeOf(asked)
    const whole = { ...asked, type }
    const probe = Effect.suspend(() => compiled(whole, asked.name ?? "new")).pipe(
      Effect.flatMap((backend) => Effect.flatten(makeProbe(transport, backend, () => firstLookMs)))
    )
    // A config that is taken over looks at what is new in it by itself.
    const outcome = asked.save === true ? undefined : yield* probe
    return yield* lock.withPermits(1)(put(whole, type, outcome))
  })

  const removed = { config: "It comes back when the config is read anew; --save takes it out of the file" } as const
  const remove = Effect.fnUntraced(function* (
    name: string,
    save: boolean
  ): Effect.fn.Return<BackendChange, NotChanged> {
    const { backend } = yield* there(name)
    const before = yield* changed(name, null, null)
    if (save) {
      if (backend.origin !== "config") {
        return yield* new Conflict({ message: `'${name}' stands in no file, so it cannot be taken out of one` })
      }
      return { ...before, saved: yield* edit((text) => removeBackend(text, name)) }
    }
    yield* registry.remove(name)
    yield* Effect.annotateLogs(Effect.logInfo("backend removed"), { backend: name })
    if (backend.origin === "discovered") {
      return { ...before, note: "It is found again while it answers; disable it to keep it out" }
    }
    return { ...before, note: backend.origin === "config" ? removed.config : null }
  })

  return Control.of({
    status: reloader.status,
    reload: reloader.reload("command").pipe(Effect.mapBoth({ onSuccess: told, onFailure: refused })),
    settings: Effect.sync(() => ({ settings: shownSettings(reloader.read()) })),
    nextRouting: reloader.next.pipe(Effect.mapBoth({ onSuccess: routingOf, onFailure: refused })),
    compare: reloader.compare.pipe(Effect.mapBoth({ onSuccess: told, onFailure: refused })),
    add,
    remove: (name, save) => lock.withPermits(1)(remove(name, save)),
    wake: (name) =>
      Effect.gen(function* () {
        const { backend, health } = yield* there(name)
        if (backend.wake === undefined) {
          const message = `Backend '${name}' has no setting 'wake', the address of its network card`
          return yield* new BadRequest({ message, param: "name" })
        }
        if (health.status === "healthy") return yield* changed(name, null, "It is awake")
        registry.want(name, true)
        const begun = registry.when(({ backends }) => backends.get(name)?.health.status !== health.status)
        yield* Effect.timeoutOption(begun, wakingMs)
        return yield* changed(name, null, `It has ${Math.round(backend.wake.timeoutMs / 1000)} s to answer`)
      }),
    setMode: (name, mode) =>
      there(name).pipe(
        Effect.andThen(registry.setMode(name, mode)),
        Effect.andThen(Effect.annotateLogs(Effect.logInfo(`backend ${mode}`), { backend: name })),
        Effect.andThen(
          changed(name, null, mode === "enabled" ? null : "It stays so until it is enabled, or the gateway starts anew")
        )
      )
  })
})

/** The changes over the registry and the config of this process; `from` is where the config is read, `ownPort` where Nexus listens. */
export const layer = (from: ConfigOptions, ownPort: () => number) => Layer.effect(Control, makeControl(from, ownPort))
