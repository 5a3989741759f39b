import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { joinUrl, parseBaseUrl } from "../../src/domain/base-url.ts"
import { json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const list = { object: "list", data: [{ id: "m", object: "model", owned_by: "acme" }] }
const answer = {
  id: "c",
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }]
}
const nowhere = json({ detail: "Not Found" }, 404)

/** A provider with its list and its chats below one path, and nothing anywhere else. */
const provider = (base: string, query = "") =>
  startUpstream({
    models: [],
    probe: ({ target }) => [target === `${base}/models${query}` ? json(list) : nowhere],
    script: ({ target }) => [target === `${base}/chat/completions${query}` ? json(answer) : nowhere]
  })

const chat = (port: number) =>
  ask(port, "POST", "/v1/chat/completions", JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] }))

const rows: ReadonlyArray<readonly [name: string, url: string, base: string, query?: string]> = [
  ["OpenAI", "/v1", "/v1"],
  ["a slash at the end", "/v1/", "/v1"],
  ["a server without a path", "", "/v1"],
  ["Zhipu", "/api/paas/v4", "/api/paas/v4"],
  ["Google", "/v1beta/openai/", "/v1beta/openai"],
  ["DeepInfra", "/v1/openai", "/v1/openai"],
  ["GitHub", "/inference", "/inference"],
  ["Ark", "/api/v3", "/api/v3"],
  ["Groq", "/openai/v1", "/openai/v1"],
  ["Groq without its version", "/openai", "/openai/v1"],
  ["Fireworks without its version", "/inference", "/inference/v1"],
  ["Open WebUI", "/api", "/api"],
  ["a server at its root", "", ""],
  ["a version of its own below which there is another", "/v4", "/v4/v1"],
  ["the address of an endpoint, copied whole", "/v1/chat/completions", "/v1"],
  ["the address of an endpoint of a provider without /v1", "/api/paas/v4/chat/completions/", "/api/paas/v4"],
  ["the address of an endpoint below the root", "/chat/completions", ""],
  ["the address of an endpoint with its query", "/x/v3/embeddings?region=eu", "/x/v3", "?region=eu"],
  ["a query for every call", "/openai/v1?api-version=preview", "/openai/v1", "?api-version=preview"],
  ["a query behind a path of its own", "/api/v3/?region=eu&x=1", "/api/v3", "?region=eu&x=1"]
]

describe("a base URL as its provider gives it is used as it is meant", () => {
  test.each(rows)("%s: %s", async (_name, url, base, query = "") => {
    await using upstream = await provider(base, query)
    await using gateway = await startGateway({
      backends: [{ name: "one", url: upstream.url + url, type: "openai" }]
    })
    expect(gateway.backend("one")).toMatchObject({ status: "healthy", models: [{ id: "m" }] })
    expect((await chat(gateway.port)).status).toBe(200)
    expect(upstream.calls().map(({ target }) => target)).toEqual([`${base}/chat/completions${query}`])
  })

  test("an Azure deployment, which lists nothing, by the query and the header that it wants", async () => {
    const base = "/openai/deployments/gpt"
    await using upstream = await provider("/none")
    await using gateway = await startGateway(
      {
        backends: [
          {
            name: "one",
            url: `${upstream.url}${base}?api-version=2024-10-21`,
            type: "openai",
            models: [{ id: "m" }]
          }
        ]
      },
      { backendKeys: new Map([["one", "sk-inner"]]), authKeys: [] }
    )
    await chat(gateway.port)
    const [call] = upstream.calls()
    expect(call?.target).toBe(`${base}/chat/completions?api-version=2024-10-21`)
    expect([call?.header("api-key"), call?.header("authorization")]).toEqual(["sk-inner", undefined])
  })

  test("a backend that has nothing at the address is passed over for one that has", async () => {
    await using wrong = await startUpstream({ models: ["m"], script: () => [json({ detail: "Not Found" }, 404)] })
    await using right = await startUpstream({ models: ["m"], script: () => [json(answer)] })
    await using gateway = await startGateway({
      backends: [
        { name: "wrong", url: wrong.url, type: "generic", priority: 1 },
        { name: "right", url: right.url, type: "generic", priority: 9 }
      ],
      routing: { strategy: "priority_only" }
    })
    const answered = await chat(gateway.port)
    expect([answered.status, answered.header("x-nexus-backend")]).toEqual([200, "right"])
  })
})

test("a base URL loses nothing but slashes and /v1 (law)", () =>
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("api", "v1", "v4", "openai", "x"), { maxLength: 4 }),
      fc.constantFrom("", "/", "//"),
      fc.constantFrom("", "?api-version=1"),
      (segments, slashes, query) => {
        const path = segments.map((segment) => `/${segment}`).join("")
        const base = parseBaseUrl(`http://h${path}${slashes}${query}`)
        const apiPath = base.apiPath === undefined ? "/v1" : ""
        expect(joinUrl(base, `${apiPath}/models`)).toBe(`http://h${path}/models${query}`)
      }
    )
  ))
