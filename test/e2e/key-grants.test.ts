import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import type { FakeUpstream } from "../kit/FakeUpstream.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway } from "../kit/gateway.ts"
import { askAs, startKeyed } from "../kit/clientKeys.ts"
import { samplesOf, total } from "../kit/metrics.ts"

const messages = [{ role: "user", content: "hi" }]

let home: FakeUpstream
let cloud: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  home = await startUpstream({ models: [{ id: "small" }, { id: "both" }] })
  cloud = await startUpstream({ models: [{ id: "large" }, { id: "both" }, { id: "secret" }] })
  gateway = await startKeyed(
    {
      all: {},
      chief: { admin: true },
      small: { models: ["small"] },
      fast: { models: ["fast"] },
      prefix: { models: ["openai/*"] },
      home: { backends: ["home"] },
      scrape: { metrics: true }
    },
    {
      server: { backend_paths: true },
      backends: [backendFor("home", home), backendFor("cloud", cloud)],
      routing: {
        aliases: { fast: "large", quick: "fast" },
        groups: { any: ["small", "large"] },
        fallbacks: { small: ["large"] }
      },
      routes: [{ name: "sent-elsewhere", match: { headers: { "x-elsewhere": "yes" } }, model: "large" }]
    }
  )
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await home[Symbol.asyncDispose]()
  await cloud[Symbol.asyncDispose]()
})

const chat = (key: string, model: string, headers: Readonly<Record<string, string>> = {}) =>
  askAs(gateway, key, "/v1/chat/completions", { model, messages }, headers)

const ids = async (key: string): Promise<ReadonlyArray<string>> =>
  (await askAs(gateway, key, "/v1/models")).json().data.map(({ id }: { readonly id: string }) => id)

describe("a key that is for some models", () => {
  test("asks for those, and is refused others in words that name those it may ask for", async () => {
    expect((await chat("small", "small")).status).toBe(200)
    const refused = await chat("small", "large")
    expect(refused.status).toBe(403)
    expect(refused.json().error).toMatchObject({ code: "model_not_allowed", param: "model" })
    expect(refused.json().error.message).toBe("This API key may not use model 'large'. It may use: any, small")
  })

  test("is told the same of a model that nobody has", async () => {
    const [known, unknown] = [await chat("small", "secret"), await chat("small", "nothing")]
    expect(known.json().error.message.replace("secret", "X")).toBe(unknown.json().error.message.replace("nothing", "X"))
  })

  test("is refused in the shape of each dialect", async () => {
    const anthropic = await askAs(gateway, "small", "/v1/messages", { model: "large", max_tokens: 5, messages })
    expect([anthropic.status, anthropic.json().type, anthropic.json().error.type]).toEqual([
      403,
      "error",
      "permission_error"
    ])
    const ollama = await askAs(gateway, "small", "/api/chat", { model: "large", messages })
    expect([ollama.status, ollama.json().error]).toEqual([403, expect.stringContaining("may not use model 'large'")])
    const gemini = await askAs(gateway, "small", "/v1beta/models/large:generateContent", {
      contents: [{ parts: [{ text: "hi" }] }]
    })
    expect([gemini.status, gemini.json().error.status]).toEqual([403, "PERMISSION_DENIED"])
    const responses = await askAs(gateway, "small", "/v1/responses", { model: "large", input: "hi" })
    expect(responses.status).toBe(403)
  })

  test("sees no others in any list", async () => {
    expect(await ids("small")).toEqual(["any", "small"])
    expect(await ids("all")).toEqual(["any", "both", "fast", "large", "quick", "secret", "small"])
    for (const path of ["/api/tags", "/v1beta/models", "/v1/models/small"]) {
      const listed = await askAs(gateway, "small", path)
      expect([path, listed.status]).toEqual([path, 200])
      expect(listed.text).not.toMatch(/large|secret|both/)
    }
    expect((await askAs(gateway, "small", "/v1/models/large")).status).toBe(403)
    expect((await askAs(gateway, "small", "/api/show", { model: "large" })).status).toBe(403)
  })

  test("reaches no other by an alias, a group, a fallback, a rule or a prefix", async () => {
    expect((await chat("small", "quick")).status).toBe(403)
    const group = await chat("small", "any")
    expect([group.status, group.backend]).toEqual([200, "home"])
    expect((await chat("small", "small", { "x-elsewhere": "yes" })).status).toBe(403)
    expect((await chat("small", "openai/large")).status).toBe(403)
    // The name that came is no name of anybody's: what it is taken for counts.
    expect((await chat("prefix", "openai/large")).status).toBe(403)
  })

  test("may be for an alias, and reaches what that leads to by it alone", async () => {
    expect((await chat("fast", "fast")).backend).toBe("cloud")
    expect((await chat("fast", "quick")).backend).toBe("cloud")
    expect((await chat("fast", "openai/fast")).backend).toBe("cloud")
    expect((await chat("fast", "large")).status).toBe(403)
    expect(await ids("fast")).toEqual(["fast", "quick"])
  })

  test("has nothing passed on that Nexus does not read", async () => {
    for (const path of ["/v1/files", "/backend/home/v1/models"]) {
      expect((await askAs(gateway, "small", path)).status).toBe(403)
    }
    expect((await askAs(gateway, "all", "/backend/home/v1/models")).status).toBe(200)
  })
})

describe("a key that is for some backends", () => {
  test("is answered by those alone, and told of no others", async () => {
    for (let time = 0; time < 6; time += 1) expect((await chat("home", "both")).backend).toBe("home")
    const refused = await chat("home", "large")
    expect(refused.status).toBe(403)
    expect(refused.json().error.message).toStartWith(
      "This API key may use none of the backends that have model 'large'. It may use: any, both, small"
    )
    expect(refused.text).not.toContain("cloud")
    expect(await ids("home")).toEqual(["any", "both", "small"])
    expect((await askAs(gateway, "home", "/v1/models")).text).not.toContain("cloud")
  })

  test("has nothing passed on to others, which are to it as if they were not there", async () => {
    expect((await askAs(gateway, "home", "/backend/home/v1/models")).status).toBe(200)
    const other = await askAs(gateway, "home", "/backend/cloud/v1/models")
    const none = await askAs(gateway, "home", "/backend/nobody/v1/models")
    expect([other.status, none.status]).toEqual([404, 404])
    expect(other.text.replaceAll("cloud", "X")).toBe(none.text.replaceAll("nobody", "X"))
  })

  test("is explained with its exclusions", async () => {
    const explained = await askAs(gateway, "chief", "/admin/v1/route?key=home", { model: "both", messages })
    expect(explained.json().decision.excluded).toEqual([
      { backend: "cloud", model: "both", reason: "is none of the backends that the key is for" }
    ])
    const models = await askAs(gateway, "chief", "/admin/v1/route?key=small", { model: "both", messages })
    expect(models.json().decision.excluded.map(({ reason }: { readonly reason: string }) => reason)).toEqual([
      "is none of the models that the key is for",
      "is none of the models that the key is for"
    ])
    expect(models.json().refusal).toMatchObject({ status: 403, code: "model_not_allowed" })
  })
})

describe("what a key opens", () => {
  const statusOf = async (key: string, path: string) => (await askAs(gateway, key, path)).status

  test("is the metrics alone for one that is for them", async () => {
    expect(await statusOf("scrape", "/metrics")).toBe(200)
    for (const path of ["/v1/models", "/health", "/nexus/backends", "/admin/v1/backends"]) {
      expect([path, await statusOf("scrape", path)]).toEqual([path, 403])
    }
    expect((await chat("scrape", "small")).status).toBe(403)
  })

  test("is nothing that tells of all backends for one that is for some", async () => {
    for (const key of ["small", "home"]) {
      for (const path of ["/metrics", "/nexus/backends", "/v1/stats", "/admin/v1/backends", "/admin/v1/requests"]) {
        expect([key, path, await statusOf(key, path)]).toEqual([key, path, 403])
      }
      expect(await statusOf(key, "/health")).toBe(200)
      expect((await askAs(gateway, key, "/")).text).not.toContain("cloud")
    }
    for (const path of ["/metrics", "/nexus/backends", "/v1/stats", "/admin/v1/backends"]) {
      expect([path, await statusOf("all", path)]).toEqual([path, 200])
    }
  })

  test("is nothing that was captured of others for one that may not administer, from this machine as well", async () => {
    for (const [path, method] of [
      ["/admin/v1/captures", "GET"],
      ["/admin/v1/captures/1", "GET"],
      ["/admin/v1/captures", "DELETE"]
    ] as const) {
      for (const key of ["all", "small"]) {
        expect([key, path, (await askAs(gateway, key, path, undefined, {}, method)).status]).toEqual([key, path, 403])
      }
      expect((await askAs(gateway, "chief", path, undefined, {}, method)).status).not.toBe(403)
    }
  })

  test("is no more by another spelling of a path", async () => {
    for (const path of [
      "/m%65trics",
      "/%6dexus/backends",
      "/nexu%73/backends",
      "/v1/st%61ts",
      "/v1/stats/",
      "/metrics/",
      "/Metrics",
      "/V1/stats"
    ]) {
      expect([path, await statusOf("small", path)]).not.toEqual([path, 200])
    }
    for (const path of [
      "/admin/v1/k%65ys",
      "/admin/v1/captur%65s",
      "/admin/v1/keys/",
      "/admin/v1/KEYS",
      "/%61dmin/v1/keys"
    ]) {
      expect([path, await statusOf("all", path)]).not.toEqual([path, 200])
    }
  })
})

test("whoever guesses keys is slowed, and a good key from there is held up no longer than that", async () => {
  const guessed = await startKeyed({ good: {} }, { backends: [backendFor("home", home)] })
  const timed = async (key: string) => {
    const begun = performance.now()
    const { status } = await askAs(guessed, key, "/v1/models")
    return { status, ms: performance.now() - begun }
  }
  for (let time = 0; time < 5; time += 1) expect((await timed(`guess-${time}`)).status).toBe(401)
  const sixth = await timed("guess-6")
  expect(sixth.status).toBe(401)
  expect(sixth.ms).toBeGreaterThanOrEqual(195)
  const told = async (name: string) => total(samplesOf((await askAs(guessed, "good", "/metrics")).text), name)
  expect([await told("nexus_failed_tries_total"), (await told("nexus_slowed_requests_total")) >= 1]).toEqual([6, true])
  const good = await timed("good")
  expect(good.status).toBe(200)
  expect(good.ms).toBeGreaterThanOrEqual(195)
  await guessed[Symbol.asyncDispose]()
})
