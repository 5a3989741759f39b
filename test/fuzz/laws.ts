/**
 * The laws that hold for any input; each can be tried as often as wanted.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { Cause, Effect, Exit, Layer, Option } from "effect"
import * as fc from "fast-check"
import { NexusConfig } from "../../src/config/NexusConfig.ts"
import { parseNeeds, scanNeeds } from "../../src/dialect/openai/needs.ts"
import { replaceModel } from "../../src/dialect/openai/openai.ts"
import { EventLoopTurns } from "../../src/domain/EventLoopTurns.ts"
import type { RoutingNeeds } from "../../src/domain/request.ts"
import { EventWatch } from "../../src/dialect/openai/event-watch.ts"
import { whole } from "../kit/answers.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { type FakeUpstream, good, startUpstream, streamed } from "../kit/FakeUpstream.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import { chatBody, chatText, cutUp, eventStream, jsonText } from "./arbitraries.ts"
import { requestText, tomlText } from "./documents.ts"

/** A gateway and the only backend behind it. */
export interface World extends AsyncDisposable {
  readonly gateway: Gateway
  readonly upstream: FakeUpstream
  readonly folder: string
}

/** A law and how often the suite tries it. */
export interface Law {
  readonly name: string
  readonly quick: number
  readonly property: (world: World) => fc.IRawProperty<unknown>
}

/** Starts what the laws are tried on. */
export const startWorld = async (): Promise<World> => {
  const upstream = await startUpstream({ models: ["m"] })
  const gateway = await startGateway({ backends: [backendFor("one", upstream)] })
  const folder = mkdtempSync(join(tmpdir(), "nexus-fuzz-"))
  return {
    gateway,
    upstream,
    folder,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

const wireText = (bytes: Uint8Array): string => decoder.decode(bytes)

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const same = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0

const check = (holds: boolean, what: () => string): void => {
  if (!holds) throw new Error(what())
}

const join2 = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat([...pieces]))

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined

const unpolluted = (): void => check(Reflect.get({}, "polluted") === undefined, () => "Object.prototype was changed")

const isErrorShape = (text: string): boolean => {
  const error = field(parsed(text), "error")
  return typeof field(error, "message") === "string" && typeof field(error, "type") === "string"
}

const turns = new EventLoopTurns()

const needs: Law = {
  name: "the needs of any body are read as JSON.parse reads them, or refused with a reason, whole or in slices",
  quick: 300,
  property: () =>
    fc.asyncProperty(fc.oneof(chatBody("m"), jsonText), async (text) => {
      const read = parseNeeds("chat/completions", bytesOf(text))
      const sliced = await scanNeeds("chat/completions", bytesOf(text), turns)
      if (read._tag === "Success") {
        const same = (other: RoutingNeeds) =>
          isDeepStrictEqual(
            { ...other, promptTokens: 0, atLeastTokens: 0 },
            { ...read.success, promptTokens: 0, atLeastTokens: 0 }
          )
        const isDeep = sliced._tag === "Failure" && sliced.failure.message.includes("levels deep")
        check(isDeep || (sliced._tag === "Success" && same(sliced.success.needs)), () => JSON.stringify(sliced))
      }
      if (read._tag === "Success") {
        // On the wire a lone surrogate is U+FFFD.
        const model = field(parsed(text.toWellFormed()), "model")
        check(read.success.model === model, () => `model ${read.success.model}`)
      } else check(read.failure.message.length > 0, () => "a refusal without a reason")
      unpolluted()
    })
}

const splice: Law = {
  name: "a replaced model name changes the model of any body and nothing else",
  quick: 300,
  property: () =>
    fc.property(chatText("m"), fc.string({ unit: "binary", minLength: 1, maxLength: 20 }), (text, name) => {
      const before = parsed(text)
      const old = field(before, "model")
      if (typeof old !== "string") return
      const after = wireText(join2(replaceModel(bytesOf(text), name)))
      const expected = wireText(bytesOf(name))
      check(field(parsed(after), "model") === expected, () => `model is ${String(field(parsed(after), "model"))}`)
      let front = 0
      while (front < text.length && text[front] === after[front]) front += 1
      let back = 0
      while (back < text.length - front && text.at(-1 - back) === after.at(-1 - back)) back += 1
      const gone = text.slice(front, text.length - back)
      check(gone.length <= JSON.stringify(old).length * 6, () => `more than the name was changed: ${gone}`)
    })
}

const ending: Law = {
  name: "what is known of a stream is the same however it was cut up",
  quick: 300,
  property: () =>
    fc.property(cutUp(fc.oneof(eventStream, fc.uint8Array({ maxLength: 20_000 }))), (pieces) => {
      const known = (all: ReadonlyArray<Uint8Array>) => {
        const watch = new EventWatch()
        for (const piece of all) watch.push(piece)
        return [watch.opening, watch.ending(true), watch.separator(), wireText(watch.usage())].join()
      }
      check(known(pieces) === known([join2(pieces)]), () => `${known(pieces)} is not ${known([join2(pieces)])}`)
    })
}

const bodies: Law = {
  name: "any body reaches the backend as it came, or is refused with 400",
  quick: 60,
  property: ({ gateway, upstream }) =>
    fc.asyncProperty(chatBody("m"), async (text) => {
      upstream.script(good())
      const before = upstream.calls().length
      const answer = await ask(gateway.port, "POST", "/v1/chat/completions", text)
      if (answer.status === 200)
        return check(same(upstream.lastCall().body, bytesOf(text)), () => "other bytes arrived")
      check([400, 404].includes(answer.status), () => `status ${String(answer.status)}: ${answer.text}`)
      check(isErrorShape(answer.text), () => `no error shape: ${answer.text}`)
      check(upstream.calls().length === before, () => "a refused body was sent on")
    })
}

const streams: Law = {
  name: "an event stream arrives byte for byte however it was cut up, its end marker added when it has none",
  quick: 60,
  property: ({ gateway, upstream }) =>
    fc.asyncProperty(cutUp(eventStream), async (pieces) => {
      upstream.script(() => streamed(pieces))
      const answer = await ask(
        gateway.port,
        "POST",
        "/v1/chat/completions",
        '{"model":"m","messages":[],"stream":true}'
      )
      const sent = join2(pieces)
      const marked = new TextDecoder().decode(sent).endsWith("data: [DONE]\n\n")
      const expected = marked ? sent : join2([sent, bytesOf("data: [DONE]\n\n")])
      check(
        answer.status === 200 && answer.end === "complete",
        () => `${String(answer.status)} ${answer.end}: ${answer.text}`
      )
      check(same(answer.body, expected), () => `other bytes: ${JSON.stringify(answer.text)}`)
    })
}

const answers: Law = {
  name: "any JSON answer arrives byte for byte, or as an error that says so",
  quick: 40,
  property: ({ gateway, upstream }) =>
    fc.asyncProperty(jsonText, async (text) => {
      upstream.script(() => [whole(200, text)])
      const answer = await ask(gateway.port, "POST", "/v1/chat/completions", '{"model":"m","messages":[]}')
      if (answer.status === 200)
        return check(answer.text === new TextDecoder().decode(bytesOf(text)), () => answer.text)
      check(isErrorShape(answer.text), () => `${String(answer.status)}: ${answer.text}`)
    })
}

const forwarded = new Set(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])

const requests: Law = {
  name: "no request, however wrong, is answered with 500 or leads anywhere but to the three endpoints",
  quick: 120,
  property: ({ gateway, upstream }) =>
    fc.asyncProperty(requestText, async (text) => {
      upstream.script(good())
      const before = upstream.calls().length
      using client = await dial(gateway.port, text.startsWith("HEAD "))
      await client.send(Buffer.from(text, "latin1"))
      // Many of these never become a whole request: a short wait, then the connection goes.
      const answer = await client.answer(150).catch(() => undefined)
      for (const call of upstream.calls().slice(before)) {
        check(forwarded.has(call.target) && call.method === "POST", () => `${call.method} ${call.target} was sent on`)
      }
      if (answer === undefined) return
      check(answer.status !== 500, () => answer.text)
      const wrong = answer.status >= 400 && answer.body.length > 0
      check(
        !wrong || isErrorShape(answer.text) || answer.text.startsWith('{"status"'),
        () => `${String(answer.status)}: ${answer.text}`
      )
    })
}

const alive: Law = {
  name: "the gateway answers and nothing is in flight afterwards",
  quick: 1,
  property: ({ gateway, upstream }) =>
    fc.asyncProperty(fc.constant(0), async () => {
      upstream.script(good())
      await gateway.quiet()
      using client = await dial(gateway.port)
      await client.send(requestBytes("POST", "/v1/chat/completions", '{"model":"m","messages":[]}'))
      const answer = await client.answer()
      check(answer.status === 200, () => `${String(answer.status)}: ${answer.text}`)
    })
}

const config: Law = {
  name: "any config is taken or refused with the file's name and a reason",
  quick: 100,
  property: ({ folder }) =>
    fc.asyncProperty(tomlText, async (text) => {
      const path = join(folder, "nexus.toml")
      writeFileSync(path, text)
      const built = Layer.build(NexusConfig.layer({ path: Option.some(path), overrides: {} }))
      const exit = await Effect.runPromiseExit(Effect.scoped(built))
      if (Exit.isSuccess(exit)) return
      const error = Cause.findErrorOption(exit.cause)
      check(Option.isSome(error), () => `a defect: ${Cause.pretty(exit.cause)}`)
      const message = Option.match(error, { onNone: () => "", onSome: (invalid) => invalid.message })
      check(message.includes("nexus.toml"), () => `no place in: ${message}`)
      unpolluted()
    })
}

/** All laws; the last sees what the others have left behind. */
export const laws: ReadonlyArray<Law> = [needs, splice, ending, config, bodies, answers, streams, requests, alive]
