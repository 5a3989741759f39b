/**
 * Real clients through a real gateway: each is installed, set up by `nexus connect`, and given a task that takes a call of a
 * tool and a second turn, over a scripted backend that speaks chat completions alone; then the same with failures. What its
 * user sees is printed as a table. Takes the network and some minutes, so that it is no part of the tests.
 *
 *     bun run clients [--only NAME,NAME] [--case CASE,CASE] [--installed FOLDER] [--llama PROGRAM | --backend URL --model NAME]
 *
 * PROGRAM is a llama-server, which gets a model that does the task; what its user must see is the same. A backend of one's own
 * may say what it likes.
 */
import { createHash } from "node:crypto"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { agentScript, breaking, isTurn } from "../kit/agentBackend.ts"
import { json } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import type { Script } from "../kit/rawServer.ts"
import { type Agent, agents, openWebUi, programs } from "./agents.ts"
import { startLlama } from "./llama-server.ts"
import { askOpenWebUi } from "./open-webui.ts"
import { bare, install, type Outcome, runProgram, type Source } from "./installed.ts"

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    case: { type: "string" },
    installed: { type: "string" },
    backend: { type: "string" },
    llama: { type: "string" },
    model: { type: "string", default: "scripted-1" }
  }
})

const model = values.model
const key = "nx-nightly"
const secrets = ["heron-4127", "walnut-8830"]
const prompt = "Read the files a.txt and b.txt of this directory at once, then say the two words in them."
const goneModel = "gone-model-7"
const main = join(import.meta.dir, "../../src/main.ts")

const folder = mkdtempSync(join(tmpdir(), "nexus-clients-"))
const chosen = (name: string) => values.only === undefined || values.only.split(",").includes(name)
const wanted = agents.filter(({ name }) => chosen(name))
const wantedServers = (["open-webui", "open-webui-ollama"] as const).filter(chosen)
const wantedPrograms = programs.filter(([client]) => chosen(client))

interface Case {
  readonly name: string
  readonly script?: (good: Script, toolless: boolean) => Script
  readonly keyed?: true
  readonly gone?: true
  /** The user must be told so. */
  readonly good?: true
}

/** Fails what the agent itself asks, and answers what it asks beside. */
const failing =
  (script: Script) =>
  (good: Script, toolless: boolean): Script =>
  (request) =>
    toolless || isTurn(request) ? script(request) : good(request)

const refusing = (status: number, message: string, headers: ReadonlyArray<string> = []) =>
  failing(() => [json({ error: { message, type: "server_error", param: null, code: null } }, status, headers)])

const allCases: ReadonlyArray<Case> = [
  { name: "task", good: true },
  { name: "with a key", keyed: true, good: true },
  ...(values.backend === undefined && values.llama === undefined
    ? ([
        { name: "429", script: refusing(429, "the quota of this key is spent", ["Retry-After: 2"]) },
        { name: "503", script: refusing(503, "the model is being loaded") },
        { name: "broken stream", script: failing(breaking) },
        { name: "unknown model", gone: true }
      ] as const)
    : [])
]

const cases = allCases.filter(({ name }) => values.case === undefined || values.case.split(",").includes(name))

const nexus = (args: ReadonlyArray<string>, env: Record<string, string>): Promise<Outcome> =>
  runProgram([process.execPath, "--no-env-file", main, ...args], { cwd: folder, env, limitMs: 60_000 })

const filesBelow = (path: string): ReadonlyArray<string> =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

/** The settings that are printed, without what is said beside them. */
const printed = async (client: string, gateway: Gateway, env: Record<string, string>): Promise<string> => {
  const { code, output } = await nexus(["connect", client, "-p", String(gateway.port), "-m", model, "--json"], env)
  if (code !== 0) throw new Error(output)
  return String(JSON.parse(output).settings)
}

/** Sets an agent up in a home of its own, and gives the command that asks it. */
const prepare = async (agent: Agent, gateway: Gateway, home: string, bins: ReadonlyArray<string>, of: Case) => {
  const env = { ...bare(home, bins), ...(of.keyed === true ? { NEXUS_KEY: key } : {}) }
  const named = of.gone === true ? goneModel : model
  const command = [agent.program, ...agent.args(prompt, { model: named, toolFile: join(folder, "tools.py") })]
  if (agent.setUp === "write" || agent.setUp === "both") {
    const { code, output } = await nexus(
      ["connect", agent.client, "--write", "-p", String(gateway.port), "-m", model],
      env
    )
    if (code !== 0) throw new Error(output)
  } else if (agent.setUp !== "shell") {
    const path = join(home, agent.setUp.into)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, await printed(agent.client, gateway, env))
    if (of.keyed === true)
      await runProgram(["llm", "keys", "set", "nexus", "--value", key], { cwd: folder, env, limitMs: 60_000 })
  }
  if (of.gone === true) {
    for (const file of filesBelow(home)) {
      writeFileSync(file, readFileSync(file, "utf8").replaceAll(model, goneModel))
    }
  }
  const own = agent.env?.(gateway.url) ?? {}
  if (agent.setUp !== "shell" && agent.setUp !== "both") return { command, env: { ...env, ...own } }
  // The last line starts it.
  const lines = (await printed(agent.client, gateway, env)).split("\n").slice(0, -1)
  const after = Object.entries(own).map(([name, value]) => `export ${name}='${value}'`)
  const script = [...lines, ...after, `exec "$@"`].join("\n").replaceAll(model, named)
  return { command: ["sh", "-c", script, "sh", ...command], env }
}

/** The end of what was seen, in one line. */
const lastWords = (output: string): string => {
  // oxlint-disable-next-line no-control-regex -- reason: agents colour what they say
  const text = output.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").trim()
  const lines = text.split("\n").map((line) => line.trim())
  return lines
    .filter((line) => line !== "" && !/^(?:at |[{}]$)/.test(line))
    .slice(-6)
    .join(" / ")
    .slice(-300)
}

interface Result {
  readonly agent: string
  readonly of: string
  readonly passed: boolean | undefined
  readonly outcome: Outcome
  /** Requests that the scripted backend has had. */
  readonly asked: number | undefined
}

const withScript = (upstream: FakeUpstream | undefined, of: Case, toolless = false): (() => number | undefined) => {
  const good = agentScript({ paths, secrets, toolless })
  if (upstream === undefined) return () => undefined
  upstream.script(of.script?.(good, toolless) ?? good)
  const before = upstream.calls().length
  return () => upstream.calls().length - before
}

const results: Array<Result> = []
const note = (result: Result) => {
  results.push(result)
  const { agent, asked, of, outcome, passed } = result
  const mark = passed === undefined ? "    " : passed ? "ok  " : "FAIL"
  console.log(
    `${mark} ${agent}: ${of} (${outcome.seconds.toFixed(1)} s${asked === undefined ? "" : `, ${asked} requests`}, exit ${outcome.code})  ${lastWords(outcome.output)}`
  )
}

const installed = values.installed ?? join(folder, "installed")
const skipped: Array<string> = []

/** The folders of its programs; undefined where it is not to be had, which is told. */
const programsOf = async (name: string, source: Source): Promise<ReadonlyArray<string> | undefined> => {
  try {
    return await install(installed, source)
  } catch (error) {
    skipped.push(name)
    console.log(`skip ${name}: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}

mkdirSync(join(folder, "desk"), { recursive: true })
for (const [at, file] of ["a.txt", "b.txt"].entries()) writeFileSync(join(folder, "desk", file), `${secrets[at]}\n`)
await runProgram(["git", "init", "-q", "repository"], { cwd: folder, env: bare(folder), limitMs: 60_000 })
cpSync(join(folder, "desk"), join(folder, "repository"), { recursive: true })
await runProgram(["git", "add", "."], { cwd: join(folder, "repository"), env: bare(folder), limitMs: 60_000 })
writeFileSync(
  join(folder, "tools.py"),
  'def read_file(path: str) -> str:\n    "Reads a file"\n    return open(path).read()\n'
)

const paths = ["a.txt", "b.txt"].map((file) => join(folder, "desk", file))
const llama = values.llama === undefined ? undefined : await startLlama(values.llama, { folder, model, paths })
const elsewhere = llama?.url ?? values.backend
const upstream =
  elsewhere === undefined
    ? await startUpstream({ type: "vllm", models: [{ id: model, tools: true, context: 131_072 }] })
    : undefined
/** Whether what is answered is known. */
const known = values.backend === undefined
const backends = [backendFor("one", upstream ?? { url: elsewhere ?? "" })]
const settings = { backends, routing: { max_retries: 0 } }
const digest = createHash("sha256").update(key).digest()

/** Nothing is left of the case before: a backend that failed would be left alone for a while. */
const gatewayFor = (of: Case): Promise<Gateway> =>
  of.keyed === true
    ? startGateway(settings, { backendKeys: new Map(), authKeys: [{ name: "nightly", digest }] })
    : startGateway(settings)

for (const agent of wanted) {
  const bins = await programsOf(agent.name, agent)
  for (const of of bins === undefined ? [] : cases) {
    if (of.keyed === true && agent.keyless === true) continue
    await using gateway = await gatewayFor(of)
    const home = mkdtempSync(join(folder, "home-"))
    const asked = withScript(upstream, of, agent.toolless)
    const outcome = await prepare(agent, gateway, home, bins ?? [], of).then(
      ({ command, env }) =>
        runProgram(command, {
          cwd: join(folder, agent.toolless === true ? "repository" : "desk"),
          env,
          limitMs: of.good !== true ? 45_000 : llama === undefined ? 120_000 : 480_000
        }),
      (error: unknown): Outcome => ({ code: 1, output: String(error), seconds: 0 })
    )
    const told = secrets.every((secret) => outcome.output.includes(secret))
    const right = outcome.code === 0 && (known ? told : outcome.output.trim() !== "")
    note({ agent: agent.name, of: of.name, passed: of.good === true ? right : undefined, outcome, asked: asked() })
  }
}

for (const [client, pip] of wantedPrograms) {
  const bins = await programsOf(client, { pip })
  for (const of of bins === undefined ? [] : cases.filter(({ good }) => good === true)) {
    await using gateway = await gatewayFor(of)
    const home = mkdtempSync(join(folder, "home-"))
    const asked = withScript(upstream, of)
    const env = { ...bare(home, bins), ...(of.keyed === true ? { NEXUS_KEY: key } : {}) }
    const file = join(home, "program.py")
    writeFileSync(file, await printed(client, gateway, env))
    const outcome = await runProgram(["python", file], { cwd: home, env, limitMs: 60_000 })
    const passed = outcome.code === 0 && (!known || outcome.output.trim() === "Two words")
    note({ agent: client, of: of.name, passed, outcome, asked: asked() })
  }
}

for (const client of wantedServers) {
  const bins = await programsOf(client, openWebUi)
  for (const of of bins === undefined ? [] : cases) {
    // No variable has a key for an Ollama.
    if ((of.keyed === true && client === "open-webui-ollama") || of.gone === true) continue
    await using gateway = await gatewayFor(of)
    const home = mkdtempSync(join(folder, "home-"))
    const asked = withScript(upstream, of)
    const env = { ...bare(home, bins), ...(of.keyed === true ? { NEXUS_KEY: key } : {}) }
    const settings = (await printed(client, gateway, env)).replace("YOUR_NEXUS_KEY", key)
    const outcome = await askOpenWebUi({ env, home, settings, model, prompt, limitMs: 240_000 })
    const told = secrets.every((secret) => outcome.output.includes(secret))
    const right = known ? told : outcome.code === 0
    note({ agent: client, of: of.name, passed: of.good === true ? right : undefined, outcome, asked: asked() })
  }
}

await upstream?.[Symbol.asyncDispose]()
llama?.[Symbol.dispose]()
rmSync(folder, { recursive: true, force: true })

const cell = (agent: string, of: string): string => {
  const found = results.find((each) => each.agent === agent && each.of === of)
  if (found === undefined) return ""
  const { asked, outcome, passed } = found
  if (passed !== undefined)
    return passed ? (asked === undefined ? "yes" : `yes (${asked})`) : `**no**: ${lastWords(outcome.output)}`
  return `${lastWords(outcome.output)} (${asked ?? "?"} requests, ${outcome.code === "killed" ? "still trying" : `exit ${outcome.code}`})`
}

const columns = cases.map(({ name }) => name)
console.log(`\n| client | ${columns.join(" | ")} |\n| --- |${columns.map(() => " --- |").join("")}`)
for (const agent of new Set(results.map((each) => each.agent))) {
  console.log(`| ${agent} | ${columns.map((of) => cell(agent, of).replaceAll("|", "\\|")).join(" | ")} |`)
}
const failed = results.filter(({ passed }) => passed === false).length
const missing = skipped.length === 0 ? "" : `, ${skipped.length} skipped (${skipped.join(", ")})`
console.log(`\n${results.filter(({ passed }) => passed === true).length} passed, ${failed} failed${missing}`)
process.exit(failed === 0 ? 0 : 1)
