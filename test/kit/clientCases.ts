/**
 * What every client library must get through the gateway, whichever server answers behind it.
 */
import { describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { chunk, streamHead } from "./answers.ts"
import { type Client, reportSchema, type Setup } from "./client.ts"
import { brokenEnds, refusals } from "./clientFailures.ts"
import { startUpstream } from "./FakeUpstream.ts"
import { backendFor, startGateway, until } from "./gateway.ts"
import type { Script, Seen } from "./rawServer.ts"
import {
  allEvents,
  type Call,
  embedding,
  fieldsOf,
  openingEvents,
  speaking,
  streaming,
  usage,
  type Voice,
  voices,
  wantedOf
} from "./voices.ts"

/** What a promise was rejected with; a failure of the test when it was not. */
export const thrown = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => {
      throw new Error(`nothing was thrown; it gave ${JSON.stringify(value)}`)
    },
    (error: unknown) => error
  )

const words = ["Rust", " is", " a", " language", "."]

const call: Call = { name: "weather", arguments: '{"city":"Oslo"}' }

const model = "Qwen/Qwen3-8B"

const embedder = "nomic-embed-text"

const world = async (script: Script, type: Voice["type"] = "generic") => {
  const upstream = await startUpstream({ type, models: [{ id: model, tools: true }, embedder], script })
  const gateway = await startGateway({ backends: [backendFor("one", upstream, { type })], routing: { max_retries: 0 } })
  return {
    upstream,
    gateway,
    setup: { baseURL: `${gateway.url}/v1`, apiKey: "not-needed", model, embedder },
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    }
  }
}

const collect = async (stream: AsyncGenerator<string, number, void>, into: Array<string>): Promise<number> => {
  for (;;) {
    const { value, done } = await stream.next()
    if (done === true) return value
    if (value !== "") into.push(value)
  }
}

const messagesOf = (request: Seen): ReadonlyArray<Record<string, unknown>> => {
  const { messages } = fieldsOf(request)
  return Array.isArray(messages) ? messages : []
}

/** The text of a message, whether it was sent as text or in parts. */
const contentOf = (message: Record<string, unknown> | undefined): string => {
  const content = message?.["content"]
  if (typeof content === "string") return content
  return Array.isArray(content) ? content.map((part: { text?: string }) => part.text ?? "").join("") : ""
}

const promptOf = (request: Seen): string =>
  contentOf(messagesOf(request).findLast((message) => message["role"] === "user"))

const answering = (name: string, make: (setup: Setup) => Client, voice: Voice) =>
  describe(`${name}, answered by ${voice.name}`, () => {
    test("gets a whole answer and its usage", async () => {
      await using here = await world(
        speaking(voice, () => words),
        voice.type
      )
      const answer = await make(here.setup).chat("What is Rust?")
      expect(answer).toEqual({ text: words.join(""), tokens: usage.total_tokens })
      expect(promptOf(here.upstream.lastCall())).toBe("What is Rust?")
    })

    test("gets a stream piece by piece, and its usage", async () => {
      await using here = await world(
        speaking(voice, () => words),
        voice.type
      )
      const pieces: Array<string> = []
      expect(await collect(make(here.setup).stream("What is Rust?"), pieces)).toBe(usage.total_tokens)
      expect(pieces).toEqual(words)
    })

    test("sees the first piece before the backend has written the second", async () => {
      const second = Promise.withResolvers<void>()
      const said = ["one", "two"]
      await using here = await world((request) => {
        const steps = streaming(allEvents(voice, wantedOf(request), said))
        const last = voice.deltas(said).length
        return [...steps.slice(0, last), { until: second.promise }, ...steps.slice(last)]
      }, voice.type)
      const stream = make(here.setup).stream("count")
      let first = ""
      while (first === "") first = String((await stream.next()).value)
      second.resolve()
      const rest: Array<string> = []
      await collect(stream, rest)
      expect([first, ...rest]).toEqual(["one", "two"])
    })

    test("calls a tool, gives its result back, and gets the answer", async () => {
      await using here = await world(
        speaking(voice, (request) => (messagesOf(request).some(({ role }) => role === "tool") ? words : call)),
        voice.type
      )
      const cities: Array<string> = []
      const text = await make(here.setup).useTool("Weather in Oslo?", (city) => {
        cities.push(city)
        return "rain"
      })
      expect([text, cities]).toEqual([words.join(""), ["Oslo"]])
      const [first, last] = here.upstream.calls()
      if (first === undefined || last === undefined) throw new Error("two requests were expected")
      expect(fieldsOf(first)["tools"]).toMatchObject([
        { type: "function", function: { name: "weather", parameters: { required: ["city"] } } }
      ])
      const [asked, told] = messagesOf(last).slice(-2)
      expect(asked).toMatchObject({ role: "assistant", tool_calls: [{ type: "function", function: call }] })
      expect(told).toMatchObject({ role: "tool", tool_call_id: voice.callId })
      expect(contentOf(told)).toBe("rain")
    })

    test("puts a streamed tool call together", async () => {
      await using here = await world(
        speaking(voice, () => call),
        voice.type
      )
      expect(await make(here.setup).streamTool("Weather in Oslo?")).toEqual({
        name: "weather",
        input: { city: "Oslo" }
      })
    })

    test("asks for an answer of a schema, and reads it", async () => {
      await using here = await world(
        speaking(voice, () => ['{"city":"Oslo",', '"celsius":7}']),
        voice.type
      )
      expect(await make(here.setup).structured("Weather in Oslo?")).toEqual({ city: "Oslo", celsius: 7 })
      expect(fieldsOf(here.upstream.lastCall())["response_format"]).toMatchObject({
        type: "json_schema",
        json_schema: { schema: { properties: reportSchema.properties, required: reportSchema.required } }
      })
    })
  })

/** Runs every case for a library; `embeds` when its API has embeddings, `answerers` those whose words are to reach it. */
export const clientCases = (
  name: string,
  make: (setup: Setup) => Client,
  embeds = true,
  answerers: ReadonlyArray<Voice> = voices
): void => {
  const [voice] = voices
  if (voice === undefined) throw new Error("no voice")
  for (const each of answerers) answering(name, make, each)

  describe(name, () => {
    test.if(embeds)("gets embeddings, in the order of the texts", async () => {
      await using here = await world(embedding)
      const vectors = await make(here.setup).embed(["a", "four", "seventh"])
      expect(vectors).toEqual([
        [1, 0.5],
        [4, 0.5],
        [7, 0.5]
      ])
      expect(fieldsOf(here.upstream.lastCall())).toMatchObject({ model: embedder, input: ["a", "four", "seventh"] })
    })

    test("hangs up in the middle of a stream, and the backend sees it", async () => {
      await using here = await world((request) => [
        streamHead(),
        ...openingEvents(voice, wantedOf(request), ["a"]).map((each) => chunk(each)),
        "hang"
      ])
      const abort = new AbortController()
      const stream = make(here.setup).stream("talk", abort.signal)
      const failure = thrown(
        (async () => {
          for await (const piece of stream) if (piece === "a") abort.abort()
        })()
      )
      const { gone } = await here.upstream.call(0)
      await gone
      expect(String(await failure)).toMatch(/abort/i)
      await here.gateway.quiet()
    })

    test("hangs up before the answer has begun, and the backend sees it", async () => {
      await using here = await world(() => ["hang"])
      const abort = new AbortController()
      const failure = thrown(make(here.setup).chat("talk", abort.signal))
      const { gone } = await here.upstream.call(0)
      abort.abort()
      expect(String(await failure)).toMatch(/abort/i)
      await gone
      await here.gateway.quiet()
    })

    for (const [end, steps] of brokenEnds) {
      test(`raises when, in the middle of a stream, ${end}`, async () => {
        const pieces: Array<string> = []
        await using here = await world((request) => [
          streamHead(),
          ...openingEvents(voice, wantedOf(request), ["half", " an"]).map((each) => chunk(each)),
          // A connection that breaks takes what nobody has read yet with it.
          { until: until(() => pieces.length === 2, "both pieces are read") },
          ...steps
        ])
        const failure = await thrown(collect(make(here.setup).stream("talk"), pieces))
        expect(failure).toBeInstanceOf(Error)
        expect(make(here.setup).failure(failure).message).toMatch(/stream|connection|EngineCore/i)
        expect(pieces).toEqual(["half", " an"])
      })
    }

    for (const { name: what, answer, status, says, wait } of refusals) {
      test(`is told ${what}, asked for whole or streamed`, async () => {
        for (const streamed of [false, true]) {
          await using here = await world(() => [answer])
          const client = make(here.setup)
          const failure = client.failure(
            await thrown(streamed ? collect(client.stream("talk"), []) : client.chat("talk"))
          )
          expect([failure.status, failure.message]).toEqual([status, expect.stringMatching(says)])
          const seconds = Number(failure.header("retry-after") ?? Number.NaN)
          expect(wait === true ? seconds >= 1 && seconds <= 300 : Number.isNaN(seconds)).toBe(true)
        }
      })
    }

    test("is told 404 for a model that nobody has, and which there are", async () => {
      await using here = await world(speaking(voice, () => words))
      const client = make({ ...here.setup, model: "gpt-nope" })
      const failure = client.failure(await thrown(client.chat("talk")))
      expect([failure.status, failure.message]).toEqual([404, expect.stringContaining("Qwen/Qwen3-8B")])
      expect(here.upstream.calls()).toEqual([])
    })

    test("is told 401 with a wrong key, and served with the right one", async () => {
      await using upstream = await startUpstream({ models: [model], script: speaking(voice, () => words) })
      const digest = createHash("sha256").update("nx-right").digest()
      await using gateway = await startGateway(
        { backends: [backendFor("one", upstream)] },
        { backendKeys: new Map(), authKeys: [{ name: "laptop", digest }] }
      )
      const setup = { baseURL: `${gateway.url}/v1`, model, embedder }
      const wrong = make({ ...setup, apiKey: "nx-wrong" })
      const failure = wrong.failure(await thrown(wrong.chat("talk")))
      expect([failure.status, failure.message]).toEqual([401, expect.not.stringContaining("nx-wrong")])
      expect((await make({ ...setup, apiKey: "nx-right" }).chat("talk")).text).toBe(words.join(""))
      expect(upstream.lastCall().header("authorization")).toBeUndefined()
    })

    test("gets each its own answer when fifty ask at once, every other for a stream", async () => {
      await using here = await world(speaking(voice, (request) => ["You said ", promptOf(request)]))
      const client = make(here.setup)
      const ask = async (at: number): Promise<string> => {
        if (at % 2 === 0) return (await client.chat(`number ${at}`)).text
        const pieces: Array<string> = []
        await collect(client.stream(`number ${at}`), pieces)
        return pieces.join("")
      }
      const numbers = Array.from({ length: 50 }, (_, at) => at)
      expect(await Promise.all(numbers.map(ask))).toEqual(numbers.map((at) => `You said number ${at}`))
      await here.gateway.quiet()
    })
  })
}
