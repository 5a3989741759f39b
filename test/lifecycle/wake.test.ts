import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { type Gateway, startGateway, startProcess, until } from "../kit/gateway.ts"
import { makeShell } from "../kit/shell.ts"
import { startSleeper } from "../kit/sleeper.ts"

setDefaultTimeout(60_000)

const { close, nexus } = makeShell()
afterAll(close)

const chat = async ({ url }: Pick<Gateway, "url">, model = "m", more = {}) => {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], ...more })
  const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", body })
  return { status: answer.status, backend: answer.headers.get("x-nexus-backend"), text: await answer.text() }
}

const packetOf = (...end: ReadonlyArray<number>) =>
  Buffer.from([
    ...Array.from({ length: 6 }, () => 0xff),
    ...Array.from({ length: 16 }, () => [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0x0f]).flat(),
    ...end
  ])

describe("a backend that sleeps", () => {
  test.each([
    ["alone", []],
    ["two workers", ["--workers", "2"]]
  ] as const)("is woken by the first request for its models, and all of them wait for it (%s)", async (_, args) => {
    await using lab = await startSleeper({ models: ["m"], slowMs: 500 })
    await using gateway = await startProcess({ backends: [lab.backend("lab")] }, [...args])
    const answers = await Promise.all([chat(gateway), chat(gateway, "m", { stream: true }), chat(gateway)])
    expect(answers.map(({ backend, status }) => ({ backend, status }))).toEqual(
      Array.from({ length: 3 }, () => ({ backend: "lab", status: 200 }))
    )
    expect(lab.packets).toEqual([packetOf()])
    expect(lab.packets[0]).toHaveLength(102)
  })

  test("is woken as well when it has fallen asleep unnoticed", async () => {
    await using lab = await startSleeper({ models: ["m"] })
    await using gateway = await startGateway({ backends: [lab.backend("lab")] })
    expect((await chat(gateway)).status).toBe(200)
    await lab.sleeps()
    expect(gateway.backend("lab").status).toBe("healthy")
    expect((await chat(gateway)).status).toBe(200)
    expect(lab.packets).toHaveLength(2)
  })

  test("is woken for a model that nobody is known to have while it has never been heard", async () => {
    await using lab = await startSleeper({ models: ["its-own"] })
    await using gateway = await startGateway({ backends: [lab.backend("lab", { models: [] })] })
    expect(await chat(gateway, "its-own")).toMatchObject({ status: 200, backend: "lab" })
    expect((await chat(gateway, "nobodys")).status).toBe(404)
    expect(lab.packets).toHaveLength(1)
  })

  test("is left asleep while another one can answer, and for what none of its models can do", async () => {
    await using lab = await startSleeper({ models: ["m"] })
    await using other = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      backends: [
        lab.backend("lab", { models: [{ id: "m" }, { id: "blind", vision: false }] }),
        { name: "other", url: other.url }
      ]
    })
    expect(await chat(gateway)).toMatchObject({ status: 200, backend: "other" })
    const image = [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }]
    expect((await chat(gateway, "blind", { messages: [{ role: "user", content: image }] })).status).toBe(400)
    expect(lab.packets).toEqual([])
  })

  test("is told of when it stays away, and left alone for a while", async () => {
    await using lab = await startSleeper({ models: ["m"], deaf: true })
    await using gateway = await startGateway({ backends: [lab.backend("lab", { wake_timeout_seconds: 1 })] })
    const asked = chat(gateway)
    await until(() => gateway.backend("lab").status === "waking", "it is waking")
    expect(gateway.backend("lab").reason).toBe("woken over the network, and given 1 s to answer")
    const refused = await asked
    expect(refused.status).toBe(503)
    expect(refused.text).toContain("was woken over the network, and has not answered within 1 s")
    expect((await chat(gateway)).status).toBe(503)
    expect(lab.packets).toHaveLength(1)
  })

  test("keeps nobody waiting beyond the time limit of a request, nor who has left", async () => {
    await using lab = await startSleeper({ models: ["m"], deaf: true })
    await using gateway = await startGateway({ server: { request_timeout_seconds: 1 }, backends: [lab.backend("lab")] })
    const late = await chat(gateway)
    expect(late.status).toBe(504)
    expect(late.text).toContain("still waking up")
    const abort = new AbortController()
    const body = JSON.stringify({ model: "m", messages: [] })
    const asked = fetch(`${gateway.url}/v1/chat/completions`, { method: "POST", body, signal: abort.signal })
    asked.catch(() => undefined)
    await until(() => gateway.inFlight() === 1, "it has come")
    abort.abort()
    await gateway.quiet()
  })
})

describe("nexus backends wake", () => {
  test("wakes one, with the password of its card, and says what has come of it", async () => {
    await using lab = await startSleeper({ models: ["m"] })
    const password = { backendKeys: new Map(), authKeys: [], wakePasswords: new Map([["lab", "01-02-03-04-05-06"]]) }
    const backends = [lab.backend("lab"), { name: "plain", url: lab.upstream.url.replace("127.0.0.1", "localhost") }]
    await using gateway = await startGateway({ backends }, password)
    const at = ["--port", String(gateway.port)]
    expect(await nexus("backends", "wake", "lab", ...at)).toEqual({ code: 0, stdout: "lab is healthy.\n", stderr: "" })
    expect(lab.packets).toEqual([packetOf(1, 2, 3, 4, 5, 6)])
    expect(lab.packets[0]).toHaveLength(108)
    expect(await nexus("backends", "wake", "plain", ...at)).toEqual({
      code: 1,
      stdout: "",
      stderr: "error: Backend 'plain' has no setting 'wake', the address of its network card\n"
    })
    expect((await nexus("backends", "wake", "gone", ...at)).code).toBe(1)
  })
})
