import { describe, expect, test } from "bun:test"
import { basename } from "node:path"
import {
  back,
  circles,
  code,
  crumbs,
  folderOf,
  importsOf,
  isThere,
  linesOf,
  notAllowed,
  ownImportsOf,
  printed,
  recurringFiles,
  recurringNames,
  src,
  target,
  textOf,
  tracked,
  unused
} from "../.ci/architecture.ts"
import { backendTypes } from "../src/backend/all.ts"
import { version } from "../src/domain/version.ts"

/** Comments blanked out, lines kept. */
const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " ")).replace(/(^|[\s;{(,])\/\/.*$/gm, "$1")

/** Lines of a file, with their place, that match and are not comments. */
const linesWith = (files: ReadonlyArray<string>, pattern: RegExp): ReadonlyArray<string> =>
  files.flatMap((file) =>
    withoutComments(textOf(file))
      .split("\n")
      .flatMap((line, at) => (pattern.test(line) ? [`${file}:${at + 1}: ${line.trim()}`] : []))
  )

/** What runs in a browser has its clock, its timers and its `fetch`, and nothing of Bun. */
const inBrowser = (file: string): boolean => file.startsWith("src/ui/")

const outside = (...allowed: ReadonlyArray<string>) => src.filter((file) => !allowed.includes(file) && !inBrowser(file))

describe("imports", () => {
  test("go only where the table of folders allows, those of types too", () => {
    expect(notAllowed).toEqual([])
  })

  test("lead only to folders that come before in the table, and none is allowed in vain", () => {
    expect({ back, unused }).toEqual({ back: [], unused: [] })
    expect(src.filter((file) => folderOf(file) === "")).toEqual([])
  })

  test("never make a circle of files, not even for types", () => {
    expect(circles()).toEqual([])
  })

  test("name files with their extension, and files that exist", () => {
    const wrong = code.flatMap((file) =>
      importsOf(file)
        .filter((path) => path.startsWith(".") && !isThere(target(file, path)))
        .map((path) => `${file}: ${path}`)
    )
    expect(wrong).toEqual([])
  })

  test("of Effect name the module, since all of it together takes 50 ms to load", () => {
    const wrong = src.flatMap((file) =>
      importsOf(file)
        .filter((path) => path === "effect")
        .map((path) => `${file}: ${path}`)
    )
    expect(wrong).toEqual([])
  })

  test("never lead from src to test, bench or .ci", () => {
    const wrong = src.flatMap((file) =>
      importsOf(file)
        .filter((path) => path.startsWith(".") && /^(test|bench|\.ci)\//.test(target(file, path)))
        .map((path) => `${file}: ${path}`)
    )
    expect(wrong).toEqual([])
  })

  test("of other packages are the seven runtime dependencies and Node's own modules", () => {
    const known = /^(effect(\/|$)|@effect\/platform-node-shared\/|smol-toml$|multicast-dns$|ioredis$|node:)/
    const wrong = src.flatMap((file) =>
      importsOf(file)
        .filter((path) => !path.startsWith(".") && !known.test(path))
        // YAML is what other gateways are set up with; only their import, loaded when it is asked for, reads it.
        .filter((path) => !(file === "src/config/import/yaml.ts" && path === "yaml"))
        // Bun's own module gives the socket client its types, and nothing at run time.
        .filter((path) => !(/^src\/wire\/(connection|dialing)\.ts$/.test(file) && path === "bun"))
        // Signatures of tokens; loaded where an issuer of some is named.
        .filter((path) => !(file === "src/issuer/key-set.ts" && path === "jose"))
        // What the page in a browser is made with.
        .filter((path) => !(inBrowser(file) && /^(preact(\/hooks)?|uplot)$/.test(path)))
        // The database inside of Bun.
        .filter((path) => !(file === "src/store/Database.ts" && path === "bun:sqlite"))
        // What the kernel can be told of a socket and Bun cannot.
        .filter((path) => !(file === "src/upstream/Sockets.ts" && path === "bun:ffi"))
        .map((path) => `${file}: ${path}`)
    )
    expect(wrong).toEqual([])
  })
})

describe("kinds of servers", () => {
  const outsiders = src.filter((file) => !file.startsWith("src/backend/"))

  test("are named nowhere but in their table, in what is imported from others, and in the demo", () => {
    // A dialect bears the name of who made it up, as a kind does.
    const elsewhere = outsiders.filter((file) => !/^src\/(config\/import|demo|dialect)\//.test(file))
    // The packages that programs of others import, and the settings that have such a name for a protocol.
    const theirs = ["src/connect/code.ts", "src/connect/agents.ts"]
    // The page that tells of the endpoints of a dialect, and programs that use their client libraries.
    const api = ["src/operations/pages/docs-page.ts", "src/ui/sdk-snippets.ts"]
    const named = new RegExp(`["'\`](${backendTypes.join("|")})["'\`]|^\\s*(${backendTypes.join("|")}):`)
    const files = elsewhere.filter((file) => ![...theirs, ...api].includes(file))
    expect(linesWith(files, named)).toEqual([])
  })

  test("are reached through their table alone", () => {
    const own = backendTypes.map((type) => `src/backend/${type}.ts`)
    const wrong = outsiders.flatMap((file) =>
      ownImportsOf(file).flatMap((to) => (own.includes(to) ? [`${file} imports ${to}`] : []))
    )
    expect(wrong).toEqual([])
    expect(own.filter((file) => !src.includes(file))).toEqual([])
  })
})

describe("files", () => {
  test("have at most 450 lines", () => {
    // 300 is where a file is looked at; no file is split for the number alone.
    expect(code.filter((file) => linesOf(file) > 450)).toEqual([])
  })

  test("are no barrels", () => {
    expect(code.filter((file) => basename(file) === "index.ts")).toEqual([])
  })

  test("say at their top what they are for", () => {
    expect(src.filter((file) => !textOf(file).startsWith("/**\n * "))).toEqual([])
  })

  test("in lower case in the core decide and do nothing: no Layer, no fibers, no platform", () => {
    const core = new Set(["domain", "config", "config/import", "registry", "router", "connect"])
    const pure = src.filter((file) => core.has(folderOf(file)) && /^[a-z]/.test(basename(file)))
    const impure = pure.flatMap((file) =>
      importsOf(file)
        .filter((path) => /^(node:|@effect\/platform)/.test(path) || /\/[A-Z][A-Za-z]*\.ts$/.test(path))
        .map((path) => `${file}: ${path}`)
    )
    const effects = linesWith(pure, /\b(Layer\.|Effect\.(run|fork|sync|promise|tryPromise|sleep|callback))/)
    expect([...impure, ...effects]).toEqual([])
  })

  test("that make a service are named in PascalCase", () => {
    const wrong = src.filter((file) => /extends Context\.Service</.test(textOf(file)) && /^[a-z]/.test(basename(file)))
    // RequestLog is one of several things that logging.ts gives to the runtime.
    expect(wrong).toEqual(["src/telemetry/logging.ts"])
  })
})

/** Whether what recurs is a kind of servers and the dialect that it is named after. */
const isKindAndDialect = (line: string): boolean => {
  const [, name = ""] = /^(\w+)(?:\.ts)?: src\/backend\/\1\.ts, src\/dialect\/[\w/-]+\.ts$/.exec(line) ?? []
  return backendTypes.some((type) => type === name)
}

describe("names", () => {
  test("are exported by one file each", () => {
    // A module that makes layers calls them so, and is imported under its own name: HealthScheduler.layer.
    const wrong = recurringNames().filter((line) => !/^layer(Of)?: /.test(line) && !isKindAndDialect(line))
    expect(wrong).toEqual([])
  })

  test("of files are in one folder each, whatever their case", () => {
    // A table of dialects, and one of kinds.
    const wrong = recurringFiles().filter((line) => !line.startsWith("all.ts:") && !isKindAndDialect(line))
    expect(wrong).toEqual([])
  })

  test("of small files are worth a file of their own: more than one other imports them", () => {
    const alone = new Set([
      // Kinds of servers are one file each, imported by their table.
      ...backendTypes.map((type) => `src/backend/${type}.ts`),
      // Handlers are one file a group of the contract.
      ...["capture", "control", "stats"].map((group) => `src/operations/handlers/${group}-handlers.ts`)
    ])
    expect(crumbs().filter((file) => !alone.has(file))).toEqual([])
  })
})

describe("what the program does not do", () => {
  test("Bun is named only by the server, the client and what makes the live page", () => {
    const both = ["src/http/BunServer.ts", "src/listener/HttpListener.ts"]
    const named = [...both, "src/wire/dialing.ts", "src/operations/pages/live-page.ts"]
    expect(linesWith(outside(...named), /\bBun\./)).toEqual([])
    expect(
      linesWith(
        ["src/operations/pages/live-page.ts"],
        /\bBun\.(?!build\b|embeddedFiles\b|file\b|gzipSync\b|gunzipSync\b)/
      )
    ).toEqual([])
    expect(linesWith(["src/listener/HttpListener.ts"], /\bBun\.(?!(listen|SocketHandler)\b)/)).toEqual([])
    expect(linesWith(["src/wire/dialing.ts"], /\bBun\.(?!connect\b)/)).toEqual([])
  })

  test("the environment is read only by the config", () => {
    expect(
      linesWith(
        outside("src/config/NexusConfig.ts", "src/operations/pages/live-page.ts", ...printed),
        /\bprocess\.env\b/
      )
    ).toEqual([])
  })

  test("nothing calls other servers but through the transport, which has a client of its own", () => {
    expect(linesWith(outside(), /(?<![\w.])fetch\(|globalThis\.fetch/)).toEqual([])
  })

  test("nothing dials but the one place with the gate in it, and sockets of this machine's own file system", () => {
    const dials =
      /\bBun\.(connect|udpSocket)\b|["']node:(http|https|http2|tls|dgram|inspector)["']|\{[^}]*\bconnect\b[^}]*\} from "node:net"|createConnection|new WebSocket\(|new EventSource\(|XMLHttpRequest|RedisClient|\bFetchHttpClient\b|NodeHttpClient|BunHttpClient|BunSocket|NodeSocket|"node:child_process"/
    const gated = [
      "src/wire/dialing.ts",
      // By the addresses that the one above lets through.
      "src/wire/web-socket.ts",
      "src/lifecycle/waker.ts",
      "src/replicas/store-client.ts" // by the address that it is given
    ]
    // Sockets in the file system, and other programs of this machine, are nowhere beyond it.
    const own = ["src/upstream/ask-socket.ts", "src/runtime/admin-listener.ts"]
    const others = linesWith(outside(...gated, ...own), dials)
    expect(others.filter((line) => !/node:child_process/.test(line) && !/node:http"/.test(line))).toEqual([])
    for (const file of ["src/wire/web-socket.ts", "src/lifecycle/waker.ts"]) {
      expect(linesWith([file], /\badmitted(Addresses)?\(/)).not.toEqual([])
    }
    expect(
      linesWith(own, /\brequest\(|\bconnect\(/).filter((line) => !/socketPath|connect\(path\)/.test(line))
    ).toEqual([])
  })

  test("time comes from the clock, and waiting from schedules", () => {
    expect(linesWith(outside(), /\bDate\.now\(|\bnew Date\(\)|\bset(Timeout|Interval|Immediate)\(/)).toEqual([])
  })

  test("the wall clock is read only for what people or other machines are told", () => {
    const told = [
      ...["serve", "usage-command", "record-command", "events", "keys"].map((command) => `src/cli/${command}.ts`),
      "src/http/WireServer.ts",
      "src/mock/mock-server.ts",
      "src/doctor/examine.ts",
      "src/operations/Operations.ts",
      ...["domain/monotonic", "proxy/History"].map((file) => `src/${file}.ts`),
      "src/runtime/Reloader.ts",
      "src/cluster/Supervisor.ts",
      "src/doctor/diagnose.ts",
      "src/doctor/issuer-check.ts",
      "src/telemetry/logging.ts",
      "src/capture/Captures.ts",
      "src/usage/UsageLedger.ts",
      "src/usage/Budgets.ts",
      "src/operations/handlers/usage-handlers.ts",
      "src/operations/handlers/stats-handlers.ts",
      "src/operations/handlers/event-handlers.ts",
      "src/runtime/otlp-export.ts"
    ]
    // Where an answer has no date of its own, and where a machine is seen to have slept.
    const parting = [
      "src/upstream/answer.ts",
      "src/upstream/ProcessPauses.ts",
      "src/proxy/translation.ts",
      "src/dialect/responses/responses-watch.ts"
    ]
    // Where rules hold at times of the day, and keys and tokens until a day.
    const timed = [
      "src/router/Router.ts",
      "src/runtime/Gateway.ts",
      "src/admission/ClientKeys.ts",
      "src/admission/Limiter.ts",
      "src/issuer/Issuers.ts"
    ]
    const wall = /\bcurrentTime(Millis|Nanos)|\btimeOrigin\b|\bDateTime\.now|\bClock\.Clock\b/
    expect(linesWith(outside(...told, ...parting, ...timed), wall)).toEqual([])
  })

  test("nothing writes to the console but through Effect", () => {
    expect(linesWith(outside(...printed), /(?<![\w.])console\./)).toEqual([])
  })
})

describe("what only a dialect knows", () => {
  const ownFolder = (file: string): string | undefined => /^src\/dialect\/\w+\//.exec(file)?.[0]
  const isOwn = (file: string): boolean => ownFolder(file) !== undefined

  test("is asked of the list of dialects: nothing else imports one", () => {
    const wrong = src
      .filter((file) => file !== "src/dialect/all.ts")
      .filter((file) => ownImportsOf(file).some((to) => isOwn(to) && ownFolder(to) !== ownFolder(file)))
    expect(wrong).toEqual([])
  })

  test("are the paths, fields and marks of OpenAI", () => {
    const words =
      /\[DONE\]|["'`.]choices\b|finish_reason|chat\/completions|chat\.completion|system_fingerprint|openai-(?:beta|processing)|_request_error|["'`]data: |text\/event-stream|json_schema|response_format|\btool_calls\b/
    const excused = [
      // What dialects with event streams have in common.
      "src/dialect/event-stream.ts",
      "src/dialect/event-frames.ts",
      // What all of them have in common.
      "src/dialect/finish-words.ts",
      // What dialects of OpenAI's have in common.
      "src/dialect/openai-error.ts",
      // Nexus as a client: settings of programs, what is asked about, the first question after set-up, simulated backends.
      "src/connect/",
      "src/cli/explain.ts",
      "src/serve/first-run.ts",
      "src/mock/text-completions.ts",
      // Words of others: gateways' settings, addresses as people copy them, lists and errors of any server.
      "src/backend/openai-like.ts",
      "src/config/import/",
      "src/domain/base-url.ts",
      "src/router/judge-failure.ts",
      // The gateway's own stream of events, what its page asks models, and what people are told of labels.
      "src/api/events-api.ts",
      "src/operations/handlers/event-handlers.ts",
      "src/ui/client-languages.ts",
      "src/ui/sdk-snippets.ts",
      "src/telemetry/metric-definition.ts",
      // A name of the conventions for GenAI.
      "src/proxy/spans.ts"
    ]
    const judged = src.filter((file) => !isOwn(file) && !excused.some((place) => file.startsWith(place)))
    expect(linesWith(judged, words)).toEqual([])
  })

  test("is no path below /v1 to those who forward", () => {
    const forwarding = src.filter((file) => ["proxy", "upstream", "runtime"].includes(folderOf(file)))
    expect(linesWith(forwarding, /\/v1\//)).toEqual([])
  })
})

describe("exceptions", () => {
  // What follows a pattern on its line must be a comment that gives the reason.
  const unexplained = (files: ReadonlyArray<string>, pattern: RegExp) =>
    files.flatMap((file) => {
      const text = textOf(file).split("\n")
      return withoutComments(textOf(file))
        .split("\n")
        .flatMap((line, at) =>
          pattern.test(line) && !(text[at] ?? "").includes("reason:") ? [`${file}:${at + 1}: ${line.trim()}`] : []
        )
    })

  test("casts, any, non-null assertions and orDie give their reason on the same line", () => {
    const cast = /\bas (?!const\b)(unknown as )?[A-Z(<{"'[\w]/
    const importAs = /^\s*(import|export)\b|^\s*[\w{}, ]+ as [\w$]+,?$|\bimport \* as\b/
    const casts = unexplained(src, cast).filter((line) => !importAs.test(line.replace(/^[^ ]+ /, "")))
    expect(casts.filter((line) => !isWords(line))).toEqual([])
    expect(unexplained(src, /:\s*any\b|<any\b|\bany>|\bas any\b/)).toEqual([])
    expect(unexplained(src, /[\w)\]]!(\.|;|,|\)|\]|$)/)).toEqual([])
    expect(unexplained(src, /\bEffect\.orDie\b/)).toEqual([])
  })

  test("rules that are switched off give their reason on the same line", () => {
    const wrong = code
      .filter((file) => file !== "test/architecture.test.ts")
      .flatMap((file) =>
        textOf(file)
          .split("\n")
          .filter((line) =>
            /oxlint-disable|eslint-disable|@ts-(ignore|expect-error|nocheck)|@effect-diagnostics/.test(line)
          )
          .filter((line) => !line.includes("reason:"))
          .map((line) => `${file}: ${line.trim()}`)
      )
    expect(wrong).toEqual([])
  })
})

/** Whether the `as` of a line stands inside a string, where it is a word. */
const isWords = (line: string): boolean => !/\bas (?!const\b)/.test(line.replace(/"[^"]*"|`[^`]*`|'[^']*'/g, '""'))

describe("the house", () => {
  test("has exactly these rooms at the top", () => {
    const rooms = new Set(tracked.map((file) => file.split("/")[0] ?? "").filter((name) => !name.startsWith(".")))
    expect([...rooms].sort()).toEqual([
      "CHANGELOG.md",
      "Dockerfile",
      "GLOSSARY.md",
      "LICENSE",
      "README.md",
      "SECURITY.md",
      "bench",
      "bin",
      "bun.lock",
      "bunfig.toml",
      "compose.yaml",
      "deploy",
      "docs",
      "findings",
      "nexus.example.toml",
      "package.json",
      "src",
      "test",
      "tsconfig.json"
    ])
  })

  test("names no registry host and no path of one machine", () => {
    const host = /registry\.(npmjs|yarnpkg|npmmirror)\.\w+|npm\.pkg\.github|artifactory|nexus\.\w+\.corp/i
    const place = /(?<![\w.:/-])\/(work|home\/\w+|root|Users\/\w+)\//
    const wrong = tracked
      .filter((file) => file !== "test/architecture.test.ts" && !/\.(png|jpg|ico|woff2?)$/.test(file))
      .flatMap((file) =>
        textOf(file)
          .split("\n")
          .filter((line) => host.test(line) || place.test(line))
          .map((line) => `${file}: ${line.trim().slice(0, 120)}`)
      )
    expect(wrong).toEqual([])
  })

  test("pins its dependencies, and runs on seven and Bun", () => {
    const manifest = JSON.parse(textOf("package.json"))
    // mDNS, YAML, Redis and signatures take more than a file of ours; their packages are loaded only when they are asked for.
    // Bun is what it all runs on: the npm package brings it along.
    // The page in a browser is made from source where there is no executable.
    const wanted =
      "@effect/platform-node-shared bun effect ioredis jose multicast-dns preact smol-toml uplot yaml".split(" ")
    expect(Object.keys(manifest.dependencies).sort()).toEqual(wanted)
    const versions = Object.values<string>({ ...manifest.dependencies, ...manifest.devDependencies })
    expect(versions.filter((each) => !/^\d+\.\d+\.\d+$/.test(each))).toEqual([])
    expect(version).toBe(manifest.version)
  })

  test("has nothing half done", () => {
    const wrong = code
      .filter((file) => file !== "test/architecture.test.ts")
      .flatMap((file) =>
        textOf(file)
          .split("\n")
          .filter((line) => /\b(TODO|FIXME|XXX|HACK)\b/.test(line))
          .map((line) => `${file}: ${line.trim()}`)
      )
    expect(wrong).toEqual([])
  })
})
