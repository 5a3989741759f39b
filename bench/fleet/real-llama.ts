/**
 * `bun run bench llama`: a pair of real llama-servers behind Nexus, and what share of their prompts chats find cached that share a
 * system prompt.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { bun, everyCore, freePort, ready, root, type Running, start } from "../processes.ts"
import { get } from "../wire.ts"
import { prose } from "./prose.ts"
import { tinyModel } from "./tiny-model.ts"

interface Message {
  readonly role: "system" | "user" | "assistant"
  readonly content: string
}

interface Usage {
  readonly prompt_tokens: number
  readonly prompt_tokens_details?: { readonly cached_tokens?: number }
}

/** What one turn of a chat was told. */
interface Turn {
  readonly chat: number
  readonly turn: number
  readonly backend: string
  readonly prompt: number
  readonly cached: number
  readonly firstMs: number
}

const contextOfSlot = 16_384

const explicit = ["-np", "4", "-c", String(4 * contextOfSlot)]

/** How the two servers are started. */
const starts: Readonly<Record<string, ReadonlyArray<string>>> = {
  np4: explicit,
  default: [],
  sps: [...explicit, "-sps", "0.9"],
  kept: ["--no-cache-idle-slots"],
  "no-ram": [...explicit, "--cache-ram", "0"]
}

/** How chats follow each other: each by itself, with a pause between its turns, or all of them one turn at a time. */
const paces: Readonly<Record<string, { readonly pauseMs: number; readonly single: boolean }>> = {
  dense: { pauseMs: 0, single: false },
  sparse: { pauseMs: 1200, single: false },
  single: { pauseMs: 0, single: true },
  slow: { pauseMs: 1200, single: true }
}

const sizes = { system: 2000, user: 200, answer: 120 } as const

const usage = `bun run bench llama --program PROGRAM [--model FILE] [--starts np4,default] [--paces dense,sparse] [--nexus DIR]
    [--config FILE] [--chats 8] [--turns 8] [--seed 1] [--forget TURN] [--whole] [--verbose] [-- OPTION...]
PROGRAM is a llama-server, OPTIONs are given to it as well; without a model it gets a tiny one of random weights
starts: ${Object.keys(starts).join(", ")}
paces: ${Object.keys(paces).join(", ")}
--config is added to the settings of Nexus; --forget starts both servers anew before this turn`

const options = {
  program: { type: "string" },
  model: { type: "string" },
  starts: { type: "string", default: "np4,default" },
  paces: { type: "string", default: "dense,sparse" },
  nexus: { type: "string", default: root },
  config: { type: "string" },
  chats: { type: "string", default: "8" },
  turns: { type: "string", default: "8" },
  seed: { type: "string", default: "1" },
  forget: { type: "string" },
  whole: { type: "boolean", default: false },
  verbose: { type: "boolean", short: "v", default: false },
  help: { type: "boolean", short: "h", default: false }
} as const

/** What a run is told. */
interface Setting {
  readonly program: string
  readonly model: string
  readonly options: ReadonlyArray<string>
  readonly nexus: string
  readonly config: string
  readonly folder: string
  readonly chats: number
  readonly turns: number
  readonly seed: number
  readonly forget: number
  readonly whole: boolean
}

const llama = ({ model, options: more, program }: Setting, port: number, how: ReadonlyArray<string>): Running => {
  const where = ["--host", "127.0.0.1", "--port", String(port)]
  return start([program, "-m", model, "-a", "tiny", "-t", "1", ...where, ...how, ...more], port, everyCore)
}

const gateway = ({ config, folder, nexus }: Setting, servers: ReadonlyArray<Running>): Running => {
  const port = freePort()
  const file = join(folder, "nexus.toml")
  const lines = [
    "[server]",
    `port = ${String(port)}`,
    "[discovery]",
    "enabled = false",
    "[logging]",
    'level = "warn"',
    config,
    ...servers.flatMap((server, at) => [
      "[[backends]]",
      `name = "llama-${String(at)}"`,
      `url = "http://127.0.0.1:${String(server.port)}"`,
      'type = "llamacpp"'
    ])
  ]
  writeFileSync(file, `${lines.join("\n")}\n`)
  return start([bun, join(nexus, "src/main.ts"), "serve", "-c", file], port, everyCore)
}

interface Answer {
  readonly text: string
  readonly usage: Usage
  readonly firstMs: number
}

const wholeAnswer = async (response: Response, started: number): Promise<Answer> => {
  // reason: the answer of a real server, of which no more is read than this
  const { choices, usage: told } = (await response.json()) as {
    choices: ReadonlyArray<{ message: { content: string } }>
    usage: Usage
  }
  return { text: choices[0]?.message.content ?? "", usage: told, firstMs: performance.now() - started }
}

const streamedAnswer = async (response: Response, started: number): Promise<Answer> => {
  let text = ""
  let rest = ""
  let told: Usage | undefined
  let firstMs = 0
  const decoder = new TextDecoder()
  for await (const piece of response.body ?? []) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) {
      if (!line.startsWith("data: {")) continue
      // reason: as above
      const event = JSON.parse(line.slice(6)) as {
        choices: ReadonlyArray<{ delta: { content?: string | null } }>
        usage?: Usage
      }
      const part = event.choices[0]?.delta.content ?? ""
      if (part !== "" && firstMs === 0) firstMs = performance.now() - started
      text += part
      told = event.usage ?? told
    }
  }
  if (told === undefined) throw new Error(`an answer without its usage: ${text.slice(0, 200)}`)
  return { text, usage: told, firstMs }
}

/** One chat; it puts what it is answered into its next turn. */
class Chat {
  readonly #messages: Array<Message>
  readonly #seed: number
  readonly #whole: boolean
  readonly at: number

  constructor(at: number, { seed, whole }: Setting) {
    this.at = at
    this.#whole = whole
    this.#seed = seed * 1000 + at * 100
    this.#messages = [{ role: "system", content: prose(seed, sizes.system) }]
  }

  async turn(port: number, turn: number): Promise<Turn> {
    this.#messages.push({ role: "user", content: prose(this.#seed + turn, sizes.user) })
    const streamed = { stream: true, stream_options: { include_usage: true } }
    const started = performance.now()
    const response = await fetch(`http://127.0.0.1:${String(port)}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: "tiny",
        messages: this.#messages,
        max_tokens: sizes.answer,
        temperature: 0,
        ...(this.#whole ? {} : streamed)
      })
    })
    if (!response.ok) throw new Error(`${String(response.status)}: ${await response.text()}`)
    const answer = await (this.#whole ? wholeAnswer : streamedAnswer)(response, started)
    this.#messages.push({ role: "assistant", content: answer.text })
    return {
      chat: this.at,
      turn,
      backend: response.headers.get("x-nexus-backend") ?? "",
      prompt: answer.usage.prompt_tokens,
      cached: answer.usage.prompt_tokens_details?.cached_tokens ?? 0,
      firstMs: answer.firstMs
    }
  }
}

const healthy = async (servers: ReadonlyArray<Running>): Promise<void> => {
  for (const server of servers) await ready(server, get("/health"), 120_000)
}

const run = async (setting: Setting, startedAs: string, pace: string): Promise<ReadonlyArray<Turn>> => {
  const how = starts[startedAs]
  const paced = paces[pace]
  if (how === undefined || paced === undefined) throw new Error(usage)
  const servers = [freePort(), freePort()].map((port) => llama(setting, port, how))
  await healthy(servers)
  const nexus = gateway(setting, servers)
  const told: Array<Turn> = []
  const one = async (chat: Chat, turn: number): Promise<void> => {
    told.push(await chat.turn(nexus.port, turn))
    if (paced.pauseMs > 0) await Bun.sleep(paced.pauseMs)
  }
  const startAnew = async (): Promise<void> => {
    for (const [at, server] of servers.entries()) {
      await server.stop()
      servers[at] = llama(setting, server.port, how)
    }
    await healthy(servers)
  }
  try {
    await ready(nexus, get("/v1/models/tiny"), 60_000)
    const chats = Array.from({ length: setting.chats }, (_, at) => new Chat(at, setting))
    const turns = Array.from({ length: setting.turns }, (_, at) => at + 1)
    const isInStep = paced.single || setting.forget > 0
    const each = async (chat: Chat): Promise<void> => {
      for (const turn of turns) await one(chat, turn)
    }
    if (!isInStep) await Promise.all(chats.map(each))
    for (const turn of isInStep ? turns : []) {
      if (turn === setting.forget) await startAnew()
      if (paced.single) for (const chat of chats) await one(chat, turn)
      else await Promise.all(chats.map((chat) => one(chat, turn)))
    }
    return told
  } finally {
    await Promise.all([nexus, ...servers].map((running) => running.stop()))
  }
}

/** Cached of what was read in turns from the second on. */
const shareOf = (turns: ReadonlyArray<Turn>): number => {
  const later = turns.filter(({ turn }) => turn > 1)
  const sum = (of: (turn: Turn) => number): number => later.reduce((all, turn) => all + of(turn), 0)
  return sum(({ cached }) => cached) / sum(({ prompt }) => prompt)
}

const byTurn = (turns: ReadonlyArray<Turn>): string =>
  [...new Set(turns.map(({ turn }) => turn))]
    .filter((turn) => turn > 1)
    .map((turn) => shareOf(turns.filter((each) => each.turn === turn)).toFixed(2))
    .join(" ")

const medianFirst = (turns: ReadonlyArray<Turn>): string => {
  const all = turns.filter(({ turn }) => turn > 1).map(({ firstMs }) => firstMs)
  return String(Math.round(all.toSorted((a, b) => a - b)[all.length >> 1] ?? Number.NaN))
}

/** Runs what the arguments say. */
export const realLlama = async (args: ReadonlyArray<string>): Promise<void> => {
  const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options })
  const { chats, config, forget = "0", program, seed, turns } = values
  if (values.help || program === undefined) {
    console.log(usage)
    return
  }
  const folder = mkdtempSync(join(tmpdir(), "nexus-llama-"))
  process.on("exit", () => {
    rmSync(folder, { recursive: true, force: true })
  })
  const tiny = join(folder, "tiny.gguf")
  if (values.model === undefined) writeFileSync(tiny, tinyModel())
  const setting: Setting = {
    program,
    model: values.model ?? tiny,
    options: positionals,
    nexus: values.nexus,
    config: config === undefined ? "" : readFileSync(config, "utf8"),
    folder,
    chats: Number(chats),
    turns: Number(turns),
    seed: Number(seed),
    forget: Number(forget),
    whole: values.whole
  }
  console.log("| start | pace | cached, turns 2 to last | by turn | first token, median ms |")
  console.log("| --- | --- | ---: | --- | ---: |")
  for (const startedAs of values.starts.split(",")) {
    for (const pace of values.paces.split(",")) {
      const told = await run(setting, startedAs, pace)
      const cells = [startedAs, pace, shareOf(told).toFixed(3), byTurn(told), medianFirst(told)]
      console.log(`| ${cells.join(" | ")} |`)
      for (const { backend, cached, chat, firstMs, prompt, turn } of values.verbose ? told : [])
        console.log(
          `chat ${String(chat)} turn ${String(turn)} ${backend} ${String(cached)}/${String(prompt)} ${firstMs.toFixed(0)} ms`
        )
    }
  }
}
