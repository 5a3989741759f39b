/**
 * Real reverse proxies in front of a real gateway, over both of its wires: streams, breaks, clients that leave, uploads,
 * WebSockets, and connections that were kept over a restart. A proxy that is not installed is skipped, which is told.
 *
 *     bun run proxies [--only NAME,NAME] [--wire bun,own]
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { freePort } from "../../bench/processes.ts"
import { chatEvents, chunk, completion, done, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, until } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Seen, Step } from "../kit/rawServer.ts"
import { bare, runProgram } from "./installed.ts"
import { commandOf, type ProxyKind, proxyKinds } from "./proxy-kinds.ts"

const { values } = parseArgs({
  options: { only: { type: "string" }, wire: { type: "string", default: "bun,own" } }
})

const path = "/v1/chat/completions"
const folder = mkdtempSync(join(tmpdir(), "nexus-proxies-"))
const events = chatEvents("m", ["one", "two", "three", "four"])
const [first = ""] = events

/** What stands behind a port of a proxy. */
interface Stage {
  readonly kind: ProxyKind
  readonly port: number
  readonly upstream: FakeUpstream
  readonly restart: () => Promise<void>
  readonly gateway: () => Gateway
}

const must = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(what)
}

const chat = (content: string, stream = false, headers: ReadonlyArray<string> = []) =>
  requestBytes("POST", path, JSON.stringify({ model: "m", messages: [{ role: "user", content }], stream }), headers)

/** Asks for a stream, and waits until its first event is there. */
const streamOf = async ({ port, upstream }: Stage, steps: ReadonlyArray<Step>) => {
  upstream.script(() => [streamHead(), chunk(first), ...steps])
  const nth = upstream.calls().length
  const client = await dial(port)
  await client.send(chat("hello", true))
  await client.until(({ text }) => text.includes(first))
  return { client, call: await upstream.call(nth) }
}

const contentOf = ({ text }: Seen): string => String(JSON.parse(text).messages[0].content)

/** Answers with a digest of what was asked. */
const digest = (text: string): string => createHash("sha256").update(text).digest("hex")
const digesting = (request: Seen): ReadonlyArray<Step> => [json(completion("m", digest(contentOf(request))))]

const megabytes = 20
const large = "0123456789abcdef".repeat(megabytes * 65_536)
const largeFile = join(folder, "large.json")
const tooLargeFile = join(folder, "too-large.json")

const curl = async (port: number, file: string, headers: ReadonlyArray<string>): Promise<string> => {
  const all = ["Content-Type: application/json", ...headers].flatMap((header) => ["-H", header])
  const body = ["--data-binary", `@${file}`, `http://127.0.0.1:${String(port)}${path}`]
  const command = ["curl", "-sS", "-w", "\n%{http_code}", ...all, ...body]
  return (await runProgram(command, { cwd: folder, env: bare(folder), limitMs: 60_000 })).output
}

const uploaded = async ({ port, upstream }: Stage, headers: ReadonlyArray<string>): Promise<void> => {
  upstream.script(digesting)
  const answer = await curl(port, largeFile, headers)
  must(answer.includes(digest(large)), `an upload came back as ${answer.slice(-300)}`)
}

const checks: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  "one after another": async ({ port, upstream }) => {
    upstream.script(digesting)
    using client = await dial(port)
    for (let nth = 0; nth < 20; nth += 1) {
      await client.send(chat(String(nth)))
      const answer = await client.answer()
      must(answer.text.includes(digest(String(nth))), `answer ${String(nth)}: ${String(answer.status)} ${answer.text}`)
      client.next()
    }
  },
  "many, of which some leave": async ({ port, upstream }) => {
    upstream.script((request) => {
      const said = digest(contentOf(request))
      if (!request.text.includes('"stream":true')) return [json(completion("m", said))]
      return [streamHead(), ...chatEvents("m", ["a", said]).map((each) => chunk(each)), lastChunk]
    })
    const ones = Array.from({ length: 300 }, async (_, nth) => {
      using client = await dial(port)
      await client.send(chat(String(nth), nth % 2 === 0))
      if (nth % 5 === 0) return
      const { end, status, text } = await client.answer(60_000)
      must(text.includes(digest(String(nth))) && end === "complete", `${String(nth)}: ${String(status)} ${end} ${text}`)
    })
    await Promise.all(ones)
  },
  "a stream, event by event": async (stage) => {
    const gates = events.map(() => Promise.withResolvers<void>())
    const steps = events
      .slice(1)
      .flatMap((each, nth): ReadonlyArray<Step> => [{ until: gates[nth]?.promise ?? Promise.resolve() }, chunk(each)])
    const { client } = await streamOf(stage, [...steps, lastChunk])
    for (const [nth, each] of events.entries()) {
      await client.until(({ text }) => text.endsWith(each))
      gates[nth]?.resolve()
    }
    const { end } = await client.answer()
    must(end === "complete", `it ended ${end}`)
  },
  "a client that leaves a stream": async (stage) => {
    const { call, client } = await streamOf(stage, ["hang"])
    client.hangUp()
    await Promise.race([call.gone, Bun.sleep(10_000).then(() => must(false, "the backend was not left"))])
  },
  "a client that leaves before an answer": async ({ port, upstream }) => {
    upstream.script(() => ["hang"])
    const nth = upstream.calls().length
    const client = await dial(port)
    await client.send(chat("hello"))
    const { gone } = await upstream.call(nth)
    client.hangUp()
    await Promise.race([gone, Bun.sleep(10_000).then(() => must(false, "the backend was not left"))])
  },
  "a backend that breaks off": async (stage) => {
    const { client } = await streamOf(stage, ["reset"])
    const { end, text } = await client.answer()
    must(text.includes('"error"') && !text.includes(done), `no error behind ${text}`)
    must(stage.kind.hidesBreaks === true || end !== "complete", "it ended as if it were whole")
  },
  "an error of ours": async ({ port }) => {
    const { json, status } = await ask(port, "POST", path, JSON.stringify({ model: "none", messages: [] }))
    must(
      status === 404 && JSON.stringify(json()).includes("model_not_found"),
      `${String(status)} ${JSON.stringify(json())}`
    )
  },
  "the administration, which is shut": async ({ port }) => {
    const { headers, status } = await ask(port, "GET", "/admin/v1/config")
    must(
      status === 404 && !headers.some(([name]) => name.toLowerCase() === "x-request-id"),
      `it said ${String(status)}`
    )
  },
  "HEAD and OPTIONS": async ({ port }) => {
    const head = await ask(port, "HEAD", "/v1/models")
    must(head.status === 200 && head.end === "complete", `HEAD: ${String(head.status)} ${head.end}`)
    const { status } = await ask(port, "OPTIONS", path)
    must(status < 500, `OPTIONS: ${String(status)}`)
  },
  "20 MB with a length": (stage) => uploaded(stage, ["Expect:"]),
  "20 MB in chunks": (stage) => uploaded(stage, ["Expect:", "Transfer-Encoding: chunked"]),
  "20 MB after 100 Continue": (stage) => uploaded(stage, ["Expect: 100-continue"]),
  "too much with a length": async ({ port }) => {
    const answer = await curl(port, tooLargeFile, ["Expect:"])
    must(answer.includes('"error"') && answer.endsWith("413"), answer.slice(-300))
  },
  "too much in chunks": async ({ port }) => {
    const answer = await curl(port, tooLargeFile, ["Expect:", "Transfer-Encoding: chunked"])
    must(answer.includes('"error"') && answer.endsWith("413"), answer.slice(-300))
  },
  "a WebSocket": async ({ port }) => {
    const socket = new WebSocket(`ws://127.0.0.1:${String(port)}/v1/realtime?model=voice`)
    const said: Array<unknown> = []
    let closed: number | undefined
    socket.addEventListener("open", () => socket.send("ping"))
    socket.addEventListener("message", ({ data }) => said.push(data))
    socket.addEventListener("close", ({ code }) => {
      closed = code
    })
    await until(() => said.includes("echo ping") || closed !== undefined, "the echo")
    must(closed === undefined, `it was closed: ${String(closed)}`)
    socket.send("leave")
    await until(() => closed !== undefined, "the close of the backend")
    must(closed === 4321, `it was closed with ${String(closed)}`)
  },
  "kept connections after a restart": async ({ port, restart, upstream }) => {
    upstream.script(digesting)
    const all = () => Promise.all(Array.from({ length: 8 }, (_, nth) => ask(port, "POST", path, chatBody(String(nth)))))
    const chatBody = (content: string) => JSON.stringify({ model: "m", messages: [{ role: "user", content }] })
    await all()
    await restart()
    for (const { status, text } of await all()) must(status === 200, `${String(status)} ${text}`)
  }
}

/** A backend that opens sockets. */
const startVoice = () =>
  Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, self) =>
      self.upgrade(request) ? undefined : Response.json({ object: "list", data: [{ id: "voice" }] }),
    websocket: {
      message: (socket, message) =>
        message === "leave" ? socket.close(4321, "because") : void socket.send(`echo ${String(message)}`)
    }
  })

const startStage = async (kind: ProxyKind, wire: string): Promise<Stage & AsyncDisposable> => {
  // Ended in the reverse order, here where the proxy does not start.
  await using started = new AsyncDisposableStack()
  const voice = started.adopt(startVoice(), (server) => server.stop(true))
  const upstream = started.use(await startUpstream({ models: ["m"] }))
  const behind = freePort()
  const begin = () =>
    startGateway({
      server: { wire, port: behind, max_body_mb: 30 },
      routing: { max_retries: 0 },
      health_check: { failure_threshold: 1000 },
      backends: [
        backendFor("one", upstream),
        { name: "voice", url: `http://127.0.0.1:${String(voice.port)}`, type: "openai" }
      ]
    })
  let gateway = await begin()
  started.defer(() => gateway[Symbol.asyncDispose]())
  const place = { folder: mkdtempSync(join(folder, "proxy-")), port: freePort(), behind }
  const [program = "", ...args] = commandOf(kind, place)
  const child = spawn(program, args, { cwd: place.folder, stdio: ["ignore", "pipe", "pipe"] })
  const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()).on("error", () => resolve()))
  started.defer(() => {
    child.kill("SIGKILL")
    return ended
  })
  let log = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-4000)
    })
  }
  const answers = () =>
    ask(place.port, "GET", "/livez").then(
      ({ status }) => status === 200,
      () => false
    )
  for (const end = performance.now() + 20_000; !(await answers()); await Bun.sleep(50)) {
    if (performance.now() > end) throw new Error(`${kind.name} did not start: ${log}`)
  }
  const stack = started.move()
  return {
    kind,
    port: place.port,
    upstream,
    gateway: () => gateway,
    restart: async () => {
      await gateway[Symbol.asyncDispose]()
      gateway = await begin()
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync()
  }
}

const asked = (content: string) => JSON.stringify({ model: "m", messages: [{ role: "user", content }] })
writeFileSync(largeFile, asked(large))
writeFileSync(tooLargeFile, asked(large.repeat(2)))

let [passed, failed, skipped] = [0, 0, 0]
for (const kind of proxyKinds) {
  if (values.only !== undefined && !values.only.split(",").includes(kind.name)) continue
  if (Bun.which(kind.program) === null) {
    skipped += 1
    console.log(`skip ${kind.name}: ${kind.program} is not installed`)
    continue
  }
  for (const wire of values.wire.split(",")) {
    await using stage = await startStage(kind, wire)
    for (const [name, check] of Object.entries(checks)) {
      if (kind.closes === true && wire === "bun" && name.startsWith("too much")) {
        skipped += 1
        console.log(`skip ${kind.name}, wire ${wire}: ${name}: the connection ends with the answer`)
        continue
      }
      try {
        await check(stage)
        await stage.gateway().quiet()
        passed += 1
        console.log(`ok   ${kind.name}, wire ${wire}: ${name}`)
      } catch (error) {
        failed += 1
        console.log(
          `FAIL ${kind.name}, wire ${wire}: ${name}: ${error instanceof Error ? error.message : String(error)}`
        )
      }
    }
  }
}
rmSync(folder, { recursive: true, force: true })
console.log(`${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped`)
process.exit(failed === 0 ? 0 : 1)
