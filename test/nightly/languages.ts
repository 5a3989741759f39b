/**
 * Clients of other languages on both wires of a real gateway: one after the other on a kept connection, a body of 3 MB, a
 * stream, a stream that they leave, and one that breaks. A language whose tools are not installed is skipped, which is told.
 *
 *     bun run languages [--only NAME,NAME] [--wire bun,own]
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { chatEvents, chunk, completion, done, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import type { Seen, Step } from "../kit/rawServer.ts"
import { bare, runProgram } from "./installed.ts"

const { values } = parseArgs({
  options: { only: { type: "string" }, wire: { type: "string", default: "bun,own" } }
})

const folder = mkdtempSync(join(tmpdir(), "nexus-languages-"))
const sources = join(import.meta.dir, "languages")

/** A language: what it needs, what makes its program, and what runs that. */
interface Language {
  readonly name: string
  readonly tools: ReadonlyArray<string>
  readonly build?: { readonly command: ReadonlyArray<string>; readonly limitMs: number }
  readonly run: ReadonlyArray<string>
}

const crate = join(folder, "rust")
// What was built before is built no more, where its place is kept.
const target = process.env["CARGO_TARGET_DIR"] ?? join(crate, "target")

const languages: ReadonlyArray<Language> = [
  { name: "Python (http.client)", tools: ["python3"], run: ["python3", join(sources, "client.py")] },
  { name: "Node (fetch)", tools: ["node"], run: ["node", join(sources, "client.mjs")] },
  {
    name: "Go (net/http)",
    tools: ["go"],
    build: { command: ["go", "build", "-o", join(folder, "go-client"), join(sources, "client.go")], limitMs: 300_000 },
    run: [join(folder, "go-client")]
  },
  { name: "Java (HttpClient)", tools: ["java"], run: ["java", join(sources, "Client.java")] },
  { name: "Ruby (Net::HTTP)", tools: ["ruby"], run: ["ruby", join(sources, "client.rb")] },
  { name: "PHP (curl)", tools: ["php"], run: ["php", join(sources, "client.php")] },
  {
    name: "C# (HttpClient of Mono)",
    tools: ["mcs", "mono"],
    build: {
      command: ["mcs", "-r:System.Net.Http", `-out:${join(folder, "client.exe")}`, join(sources, "client.cs")],
      limitMs: 120_000
    },
    run: ["mono", join(folder, "client.exe")]
  },
  {
    name: "Rust (reqwest)",
    tools: ["cargo"],
    build: { command: ["cargo", "build", "-q"], limitMs: 900_000 },
    run: [join(target, "debug/client")]
  }
]

const events = chatEvents("m", ["one", "two", "three"])
const [first = ""] = events

const askedIn = ({ text }: Seen): { readonly content: string; readonly stream: boolean } => {
  const { messages, stream } = JSON.parse(text)
  return { content: String(messages[0].content), stream: stream === true }
}

/** What the backend does, by what it is asked. */
const script = (request: Seen): ReadonlyArray<Step> => {
  const { content, stream } = askedIn(request)
  if (!stream) return [json(completion("m", `heard ${content.length}: ${content.slice(0, 6)}`))]
  if (content === "abort") return [streamHead(), chunk(first), "hang"]
  if (content === "broken") return [streamHead(), chunk(first), "reset"]
  return [streamHead(), ...events.map((each) => chunk(each)), lastChunk]
}

const must = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(what)
}

/** Where the program is run and asks. */
interface Stage {
  readonly ask: (mode: string) => Promise<string>
  readonly upstream: FakeUpstream
}

const checks: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  chat: async ({ ask }) => {
    const said = await ask("chat")
    must((said.match(/heard 6: chat/g)?.length ?? 0) === 3, said)
  },
  "3 MB": async ({ ask }) => {
    const said = await ask("large")
    must(said.includes("heard 3000006: large"), said.slice(-300))
  },
  stream: async ({ ask }) => {
    const said = await ask("stream")
    must(
      ["one", "two", "three"].every((word) => said.includes(word)),
      said
    )
    must(said.includes(done.trim()) && said.trimEnd().endsWith("ENDED"), said)
  },
  abort: async ({ ask, upstream }) => {
    const nth = upstream.calls().length
    const said = await ask("abort")
    must(said.includes("one"), said)
    const { gone } = await upstream.call(nth)
    await Promise.race([gone, Bun.sleep(10_000).then(() => must(false, "the backend was not left"))])
  },
  "a stream that breaks": async ({ ask }) => {
    const said = await ask("broken")
    must(said.includes("one") && said.includes('"error"') && !said.includes(done.trim()), said)
    must(said.includes("BROKEN"), `it ended as if it were whole: ${said}`)
  }
}

/** What keeps its client from being built; undefined where it is. */
const faultOf = async ({ build }: Language): Promise<string | undefined> => {
  if (build === undefined) return undefined
  mkdirSync(crate, { recursive: true })
  for (const file of ["Cargo.toml", "client.rs"]) copyFileSync(join(sources, file), join(crate, file))
  const env = Object.fromEntries(Object.entries(process.env).map(([key, value]) => [key, value ?? ""]))
  const { code, output } = await runProgram(build.command, { cwd: crate, env, limitMs: build.limitMs })
  return code === 0 ? undefined : output.trim().slice(-500)
}

const wires = values.wire.split(",")
const columns = Object.keys(checks)
const rows: Array<string> = []
let [passed, failed, skipped] = [0, 0, 0]
for (const language of languages) {
  const { name, run } = language
  if (values.only !== undefined && !values.only.split(",").some((each) => name.startsWith(each))) continue
  const missing = language.tools.find((tool) => Bun.which(tool) === null)
  if (missing !== undefined) {
    skipped += 1
    console.log(`skip ${name}: ${missing} is not installed`)
    continue
  }
  const fault = await faultOf(language)
  if (fault !== undefined) {
    failed += 1
    console.log(`FAIL ${name}: ${fault}`)
    continue
  }
  for (const wire of wires) {
    await using upstream = await startUpstream({ models: ["m"], script })
    await using gateway = await startGateway({
      server: { wire },
      routing: { max_retries: 0 },
      health_check: { failure_threshold: 1000 },
      backends: [backendFor("one", upstream)]
    })
    const ask = async (mode: string): Promise<string> => {
      const command = [...run, mode, String(gateway.port)]
      return (await runProgram(command, { cwd: folder, env: bare(folder), limitMs: 60_000 })).output
    }
    const cells: Array<string> = []
    for (const [what, check] of Object.entries(checks)) {
      try {
        await check({ ask, upstream })
        await gateway.quiet()
        passed += 1
        cells.push("yes")
        console.log(`ok   ${name}, wire ${wire}: ${what}`)
      } catch (error) {
        failed += 1
        cells.push("**no**")
        console.log(`FAIL ${name}, wire ${wire}: ${what}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    rows.push(`| ${name} | ${wire} | ${cells.join(" | ")} |`)
  }
}
rmSync(folder, { recursive: true, force: true })
console.log(
  `\n| client | wire | ${columns.join(" | ")} |\n| --- | --- |${columns.map(() => " --- |").join("")}\n${rows.join("\n")}`
)
console.log(`\n${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped`)
process.exit(failed === 0 ? 0 : 1)
