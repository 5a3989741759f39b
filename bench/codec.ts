/**
 * What the codecs of a translated stream cost by themselves, run plainly: an event of chat completions a push, as it comes
 * off a socket, to the bytes of a client dialect.
 *
 *     bun bench/codec.ts <dialect> <seconds>
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Dialects } from "../src/dialect/all.ts"
import { Routes } from "../src/dialect/routes.ts"
import { through } from "../src/dialect/Transducer.ts"
import { chunkFrame } from "./frames.ts"
import { chatVoice, type Voice, voices } from "./voices.ts"

const encoder = new TextEncoder()

/** The codecs of a stream between a client dialect and chat completions. */
const codecsOf = async ({ body, path }: Voice) => {
  const routes = new Routes(await Effect.runPromise(Dialects))
  const find = (each: Voice) => routes.find(each.path("bench", true).replace(/\?.*/, ""))
  const [asked, answering] = [find({ ...chatVoice, path }), find(chatVoice)]
  const { client } = asked?.operation ?? {}
  const { server } = answering?.operation ?? {}
  if (client === undefined || server === undefined) throw new Error("no codec")
  const { answers, chat } = Result.getOrThrow(
    client.decode(encoder.encode(body("bench", ["Hello"], true)), asked?.model)
  )
  const traits = { original: false, files: false, namedTool: true, newerBound: false, several: true, word: String }
  const encoded = Result.getOrThrow(server.encode(chat, "bench", traits))
  const context = { model: "bench", id: "bench", now: 0, callIds: new Set<string>() }
  return through(encoded.answers.stream, answers.stream(context))
}

const cpu = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

if (import.meta.main) {
  const [name = "", seconds = "1"] = process.argv.slice(2)
  const voice = voices[name]
  if (voice === undefined) throw new Error(`no dialect ${name}`)
  const codecs = await codecsOf(voice)
  const frames = Array.from({ length: 500 }, (_, at) =>
    encoder.encode(chunkFrame(`#${String(at)} @1700000000;`, "null"))
  )
  const measure = (forMs: number): number => {
    const [before, until] = [cpu(), performance.now() + forMs]
    let tokens = 0
    while (performance.now() < until) {
      const step = codecs.start()
      for (const frame of frames) step.push(frame)
      tokens += frames.length
    }
    return (cpu() - before) / tokens
  }
  measure(Number(seconds) * 500)
  console.log(JSON.stringify({ token: measure(Number(seconds) * 1000) }))
  process.exit(0)
}
