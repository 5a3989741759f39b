import { expect } from "bun:test"
import { Effect } from "effect"
import OpenAI from "openai"
import { demoBackends } from "../../src/demo/simulate.ts"
import type { Backend } from "../../src/backend/backend.ts"
import { live } from "../kit/effect.ts"

const withBackends = (body: (backends: ReadonlyArray<Backend>, client: OpenAI) => Promise<void>) => () =>
  Effect.flatMap(demoBackends, (backends) =>
    Effect.promise(() =>
      body(backends, new OpenAI({ baseURL: `${backends[0]?.url}/v1`, apiKey: "none", maxRetries: 0 }))
    )
  )

live(
  "simulated backends say in their names, lists and answers that they are simulated",
  withBackends(async (backends, client) => {
    expect(backends.map(({ name, origin }) => [name, origin])).toEqual([
      ["simulated-a", "simulated"],
      ["simulated-b", "simulated"]
    ])
    const listed = (await client.models.list()).data
    expect(listed.map(({ id, owned_by }) => [id, owned_by])).toEqual([
      ["simulated-small", "simulated"],
      ["simulated-large", "simulated"]
    ])
    const answer = await client.chat.completions.create({
      model: "simulated-large",
      messages: [{ role: "user", content: [{ type: "text", text: "Where is Paris?" }] }]
    })
    expect(answer.choices[0]?.message.content).toContain("simulated")
    expect(answer.choices[0]?.message.content).toContain("Where is Paris?")
    expect(answer.usage?.total_tokens).toBeGreaterThan(2)
  })
)

live(
  "a simulated stream gives the same text in pieces, and usage when asked",
  withBackends(async (_, client) => {
    const request = { model: "simulated-small", messages: [{ role: "user", content: "Hallo" }] } as const
    const whole = await client.chat.completions.create({ ...request, messages: [...request.messages] })
    const stream = await client.chat.completions.create({
      ...request,
      messages: [...request.messages],
      stream: true,
      stream_options: { include_usage: true }
    })
    let text = ""
    let pieces = 0
    let usage = 0
    let finish: string | null | undefined
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ""
      pieces += chunk.choices.length
      finish = chunk.choices[0]?.finish_reason ?? finish
      usage = chunk.usage?.total_tokens ?? usage
    }
    expect(text).toBe(whole.choices[0]?.message.content ?? "nothing")
    expect(pieces).toBeGreaterThan(5)
    expect(finish).toBe("stop")
    expect(usage).toBe(whole.usage?.total_tokens ?? -1)
  })
)

live(
  "simulated completions and embeddings work, in both encodings",
  withBackends(async (_, client) => {
    const completion = await client.completions.create({ model: "simulated-small", prompt: "Once" })
    expect(completion.choices[0]?.text).toContain("simulated")
    const embed = async (encoding_format: "float" | "base64") =>
      client.embeddings.create({ model: "simulated-small", input: ["a cat", "a dog"], dimensions: 8, encoding_format })
    const floats = (await embed("float")).data.map((it) => it.embedding)
    expect(floats.length).toBe(2)
    expect(Math.hypot(...(floats[0] ?? []))).toBeCloseTo(1)
    const plain = await client.embeddings.create({ model: "simulated-small", input: ["a cat", "a dog"], dimensions: 8 })
    plain.data.forEach(({ embedding }, i) =>
      embedding.forEach((x, j) => expect(x).toBeCloseTo(floats[i]?.[j] ?? Number.NaN, 5))
    )
  })
)

live(
  "simulated backends refuse what they do not know in OpenAI's shape",
  withBackends(async (backends, client) => {
    const missing = await client.completions.create({ model: "gpt-9", prompt: "x" }).catch((error: unknown) => error)
    expect(missing).toMatchObject({ status: 404, code: "model_not_found" })
    const bad = await fetch(`${backends[1]?.url}/v1/chat/completions`, { method: "POST", body: "{" })
    expect(bad.status).toBe(400)
    expect((await bad.json()) as object).toMatchObject({ error: { code: "bad_request" } }) // reason: its shape is what is tested
  })
)
