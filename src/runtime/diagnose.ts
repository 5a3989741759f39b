/**
 * What `nexus doctor` does: looks at the gateway's own ground and at every backend, and tells no secret of them.
 */
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import { DateTime, Effect, Layer, Redacted, Result } from "effect"
import { defaultLimits } from "../config/compile.ts"
import { type ConfigInvalid, keyToSend, readConfig } from "../config/NexusConfig.ts"
import type { Read } from "../config/read.ts"
import { shown } from "../config/show.ts"
import { examine } from "../doctor/examine.ts"
import { error, type Finding, info, ok, type Section } from "../doctor/finding.ts"
import { deadNames } from "../doctor/names.ts"
import { connects } from "../doctor/reach.ts"
import { configured, keyFiles, openFiles } from "../doctor/surroundings.ts"
import type { Backend } from "../domain/backend.ts"
import { printable } from "../domain/text.ts"
import { version } from "../domain/version.ts"
import { findOnce, hostsOf } from "../health/Discovery.ts"
import { resolve } from "../router/aliases.ts"
import { modelsOf } from "../router/plan.ts"
import { Transport } from "../upstream/Transport.ts"
import { urlOf } from "./address.ts"
import { askHealth } from "./client.ts"
import type { SurveyOptions } from "./target.ts"

/** What is to be looked at, and how. */
export interface DiagnoseOptions extends SurveyOptions {
  /** Whether tokens may be spent. */
  readonly inference: boolean
}

/** A report that may be shared: no key, no password of an address, no text of a request is in it. */
export interface Diagnosis {
  readonly version: string
  readonly bun: string
  readonly system: string
  /** ISO 8601. */
  readonly at: string
  readonly sections: ReadonlyArray<Section>
  /** The settings in force, as `nexus config show` tells them. */
  readonly settings: ReadonlyArray<{ readonly key: string; readonly value: unknown; readonly origin: string }>
}

/** Time for a question that costs nothing, and for an answer of a model, in milliseconds. */
const patience = { timeoutMs: 5000, answerMs: 60_000 } as const

const backendsAtOnce = 8

const portFindings = Effect.fnUntraced(function* ({ loaded: { settings, authKeys } }: Read) {
  const { host, port } = settings.server
  if (port === 0) return [ok("port", "any free port")]
  const url = urlOf(host, port)
  const closed = yield* connects(URL.parse(url)?.hostname.replace(/^\[(.*)\]$/, "$1") ?? host, port, patience.timeoutMs)
  if (closed !== undefined) return [ok("port", `${port} is free`)]
  const key = yield* Effect.orElseSucceed(keyToSend(authKeys), () => ({ key: undefined }))
  return yield* askHealth({ url, ...key }).pipe(
    Effect.map(({ status }) => [ok("port", `a gateway runs at ${url} and is ${status}`)]),
    Effect.catchTag("GatewayRefused", ({ message }) => Effect.succeed([info("port", message)])),
    Effect.catchTag("NoGateway", () =>
      Effect.succeed([
        error("port", `another program listens at ${url}`, `port = ${port + 1} under [server], or --port ${port + 1}`)
      ])
    )
  )
})

const fileNames = ({ loaded: { settings } }: Read): ReadonlyArray<string> =>
  settings.backends.flatMap(({ api_key_file, client_key_file }) =>
    [api_key_file, client_key_file].filter((file) => file !== undefined)
  )

const gatewaySection = Effect.fnUntraced(function* (read: Read, backends: ReadonlyArray<Backend>) {
  const { path } = read.loaded
  const findings: ReadonlyArray<Finding> = [
    ...configured(read.loaded, backends.length),
    ...(backends.length === 0
      ? [
          error(
            "backends",
            "there is none in the config, and none was found on this machine",
            "nexus config init, then name one"
          )
        ]
      : []),
    ...(yield* portFindings(read)),
    ...(yield* openFiles()),
    ...(yield* keyFiles(fileNames(read), path))
  ]
  return { name: "gateway", about: `nexus ${version}`, findings }
})

const invalid = ({ message }: ConfigInvalid): Section => ({
  name: "gateway",
  about: `nexus ${version}`,
  findings: message.split("\n").map((line) => error("config", line, "correct it; nexus config check looks again"))
})

/** What must not be told: every key that the settings hold, and those that their variables stand for. */
const secretsOf = ({ loaded: { backends, authKeys } }: Read): ReadonlyArray<string> =>
  [...backends.map(({ apiKey }) => apiKey), ...authKeys.map(({ key }) => key)].flatMap((key) =>
    key === undefined ? [] : [Redacted.value(key)]
  )

const redacted = (sections: ReadonlyArray<Section>, secrets: ReadonlyArray<string>): ReadonlyArray<Section> => {
  const clean = (text: string) =>
    printable(secrets.reduce((cleaner, secret) => cleaner.replaceAll(secret, "[secret]"), text))
  return sections.map(({ name, about, findings }) => ({
    name,
    about: clean(about),
    findings: findings.map(({ check, severity, seen, fix }) =>
      fix === undefined
        ? { check, severity, seen: clean(seen) }
        : { check, severity, seen: clean(seen), fix: clean(fix) }
    )
  }))
}

const looked = Effect.fnUntraced(function* (read: Read, { inference }: DiagnoseOptions) {
  const { loaded } = read
  const { port } = loaded.settings.server
  const ownPort = port === 0 ? undefined : port
  const found = loaded.discovery
    ? yield* findOnce({
        limits: defaultLimits(loaded.settings),
        ownPort,
        hosts: hostsOf(loaded),
        known: loaded.backends
      })
    : []
  const backends = [...loaded.backends, ...found]
  const looks = Effect.forEach(backends, (backend) => examine(backend, { inference, ownPort, ...patience }), {
    concurrency: backendsAtOnce
  })
  const [gateway, examined] = yield* Effect.all([gatewaySection(read, backends), looks], { concurrency: 2 })
  const names = deadNames(loaded.routing, {
    lists: examined.map(({ models }) => models),
    modelsOf: (name) => modelsOf(name, loaded.routing),
    resolve: (name) => resolve(name, loaded.routing.aliases)
  })
  return redacted([{ ...gateway, findings: [...gateway.findings, ...names] }, ...examined], secretsOf(read))
})

/** Looks at everything; it never fails, what is wrong is found. */
export const diagnose = (options: DiagnoseOptions): Effect.Effect<Diagnosis> =>
  Effect.gen(function* () {
    const read = yield* Effect.result(
      readConfig({ path: options.config, overrides: options.overrides, mayMiss: "any" })
    )
    const sections = Result.isSuccess(read) ? yield* looked(read.success, options) : [invalid(read.failure)]
    return {
      version,
      bun: process.versions.bun ?? "unknown",
      system: `${process.platform}-${process.arch}`,
      at: DateTime.formatIso(yield* DateTime.now),
      sections,
      settings: Result.isSuccess(read) ? shown(read.success) : []
    }
  }).pipe(
    Effect.scoped,
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the entry point of a one-shot command
    Effect.provide(Layer.merge(Transport.layer, NodeFileSystem.layer))
  )
