import { describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { basename, dirname, join, normalize } from "node:path"
import { house } from "../.ci/house.ts"
import { version } from "../src/domain/version.ts"

const root = join(import.meta.dir, "..")

// Git knows what belongs to the project; what is new and not ignored counts as well.
const tracked = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root })
  .stdout.toString()
  .split("\0")
  .filter((file) => file !== "" && existsSync(join(root, file)))

const textOf = (file: string): string => readFileSync(join(root, file), "utf8")
const code = tracked.filter((file) => file.endsWith(".ts"))
const src = code.filter((file) => file.startsWith("src/"))

const scanner = new Bun.Transpiler({ loader: "ts" })

/** Imports that stay when types are gone. */
const importsOf = (file: string): ReadonlyArray<string> => scanner.scanImports(textOf(file)).map(({ path }) => path)

/** Holds programs of others as text, to be printed; what they import and call is theirs. */
const printed = ["src/connect/code.ts"]

/** All imports, type-only ones too. */
const allImportsOf = (file: string): ReadonlyArray<string> =>
  printed.includes(file) ? importsOf(file) : importsIn(textOf(file))

const importsIn = (text: string): ReadonlyArray<string> =>
  [
    ...text.matchAll(/^\s*(?:import|export)\b[^"'`;]*?from\s+"([^"]+)"|^\s*import\s+"([^"]+)"|\bimport\(\s*"([^"]+)"/gm)
  ].map(([, from, bare, later]) => from ?? bare ?? later ?? "")

const target = (file: string, path: string): string => normalize(join(dirname(file), path))

/** The folder of the table that a file is in; `main` for src/main.ts. */
const folderOf = (file: string): string =>
  Object.keys(house)
    .filter((room) => file.startsWith(`src/${room}/`) || file === `src/${room}.ts`)
    .sort((a, b) => b.length - a.length)[0] ?? ""

/** Files of ours that a file imports, for values or for types, at once or later. */
const ownImportsOf = (file: string): ReadonlyArray<string> =>
  allImportsOf(file)
    .filter((path) => path.startsWith("."))
    .map((path) => target(file, path))
    .filter((to) => to.startsWith("src/"))

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

const outside = (...allowed: ReadonlyArray<string>) => src.filter((file) => !allowed.includes(file))

describe("imports", () => {
  test("go only where the table of folders allows, those of types too", () => {
    const wrong = src.flatMap((file) =>
      ownImportsOf(file)
        .filter((to) => folderOf(to) !== folderOf(file))
        .filter((to) => !(house[folderOf(file)]?.mayImport ?? []).includes(folderOf(to)))
        .map((to) => `${file} imports ${to}`)
    )
    expect(wrong).toEqual([])
  })

  test("lead only to folders that come before in the table, and none is allowed in vain", () => {
    const order = Object.keys(house)
    const back = order.flatMap((room) =>
      (house[room]?.mayImport ?? [])
        .filter((to) => order.indexOf(to) >= order.indexOf(room) || !order.includes(to))
        .map((to) => `${room} -> ${to}`)
    )
    const used = new Set(src.flatMap((file) => ownImportsOf(file).map((to) => `${folderOf(file)} -> ${folderOf(to)}`)))
    const unused = order.flatMap((room) =>
      (house[room]?.mayImport ?? []).map((to) => `${room} -> ${to}`).filter((arrow) => !used.has(arrow))
    )
    expect({ back, unused }).toEqual({ back: [], unused: [] })
    expect(src.filter((file) => folderOf(file) === "")).toEqual([])
  })

  test("never make a circle of files, not even for types", () => {
    const done = new Set<string>()
    const circles: Array<string> = []
    const visit = (file: string, path: ReadonlyArray<string>): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" -> "))
      if (done.has(file) || path.includes(file)) return
      for (const to of ownImportsOf(file)) visit(to, [...path, file])
      done.add(file)
    }
    for (const file of src) visit(file, [])
    expect(circles).toEqual([])
  })

  test("name files with their extension, and files that exist", () => {
    const wrong = code.flatMap((file) =>
      allImportsOf(file)
        .filter((path) => path.startsWith(".") && !existsSync(join(root, target(file, path))))
        .map((path) => `${file}: ${path}`)
    )
    expect(wrong).toEqual([])
  })

  test("never lead from src to test, bench or .ci", () => {
    const wrong = src.flatMap((file) =>
      allImportsOf(file)
        .filter((path) => path.startsWith(".") && /^(test|bench|\.ci)\//.test(target(file, path)))
        .map((path) => `${file}: ${path}`)
    )
    expect(wrong).toEqual([])
  })

  test("of other packages are the five runtime dependencies and Node's own modules", () => {
    const known = /^(effect(\/|$)|@effect\/platform-node-shared\/|smol-toml$|multicast-dns$|node:)/
    const wrong = src.flatMap((file) =>
      allImportsOf(file)
        .filter((path) => !path.startsWith(".") && !known.test(path))
        // YAML is what other gateways are set up with; only their import, loaded when it is asked for, reads it.
        .filter((path) => !(file === "src/config/import/yaml.ts" && path === "yaml"))
        // Bun's own module gives the socket client its types, and nothing at run time.
        .filter((path) => !(file === "src/wire/connection.ts" && path === "bun"))
        // What the kernel can be told of a socket and Bun cannot.
        .filter((path) => !(file === "src/upstream/Sockets.ts" && path === "bun:ffi"))
        .map((path) => `${file}: ${path}`)
    )
    expect(wrong).toEqual([])
  })
})

describe("files", () => {
  test("have at most 450 lines", () => {
    // 300 is where a file is looked at; no file is split for the number alone.
    const long = code.map((file) => [file, textOf(file).trimEnd().split("\n").length] as const)
    expect(long.filter(([, lines]) => lines > 450)).toEqual([])
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
      allImportsOf(file)
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

describe("what the program does not do", () => {
  test("Bun is named only by the server and the client", () => {
    expect(linesWith(outside("src/http/BunServer.ts", "src/wire/Client.ts"), /\bBun\./)).toEqual([])
    expect(linesWith(["src/wire/Client.ts"], /\bBun\.(?!connect\b)/)).toEqual([])
  })

  test("the environment is read only by the config", () => {
    expect(linesWith(outside("src/config/NexusConfig.ts", ...printed), /\bprocess\.env\b/)).toEqual([])
  })

  test("nothing calls other servers but through the transport, which has a client of its own", () => {
    expect(linesWith(src, /(?<![\w.])fetch\(|globalThis\.fetch/)).toEqual([])
  })

  test("time comes from the clock, and waiting from schedules", () => {
    expect(linesWith(src, /\bDate\.now\(|\bnew Date\(\)|\bset(Timeout|Interval|Immediate)\(/)).toEqual([])
  })

  test("the wall clock is read only for what people or other machines are told", () => {
    const told = [
      "src/cli/serve.ts",
      "src/demo/simulate.ts",
      "src/doctor/examine.ts",
      "src/operations/Operations.ts",
      "src/proxy/History.ts",
      "src/runtime/Reloader.ts",
      "src/cluster/Supervisor.ts",
      "src/doctor/diagnose.ts",
      "src/telemetry/logging.ts"
    ]
    // Where an answer has no date of its own.
    // Where an answer has no date of its own, and where a machine is seen to have slept.
    const parting = ["src/upstream/answer.ts", "src/upstream/Pauses.ts"]
    const wall = /\bcurrentTime(Millis|Nanos)|\btimeOrigin\b|\bDateTime\.now|\bClock\.Clock\b/
    expect(linesWith(outside(...told, ...parting), wall)).toEqual([])
  })

  test("nothing writes to the console but through Effect", () => {
    expect(linesWith(outside(...printed), /(?<![\w.])console\./)).toEqual([])
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
      "LICENSE",
      "README.md",
      "SECURITY.md",
      "bench",
      "bin",
      "bun.lock",
      "bunfig.toml",
      "compose.yaml",
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

  test("pins its dependencies, and runs on five and Bun", () => {
    const manifest = JSON.parse(textOf("package.json"))
    // mDNS and YAML take more than a file of ours; their packages are loaded only when they are asked for.
    // Bun is what it all runs on: the npm package brings it along.
    const wanted = ["@effect/platform-node-shared", "bun", "effect", "multicast-dns", "smol-toml", "yaml"]
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
