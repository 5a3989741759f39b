import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { chatEvents, chunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, nexus } = makeShell()
afterAll(close)

const [first = ""] = chatEvents("m", ["a"])

describe("nexus requests", () => {
  test("shows what is under way, says why it is where it is, completes its ids and ends it", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => [streamHead(), chunk(first), "hang"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const at = ["--port", String(gateway.port)]
    expect(await nexus("requests", ...at)).toEqual({ code: 0, stdout: "", stderr: "No request is under way.\n" })

    using client = await dial(gateway.port)
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "a secret" }], stream: true })
    await client.send(requestBytes("POST", "/v1/chat/completions", body, ["x-request-id: mine"]))
    await client.until(({ text }) => text === first)

    const shown = await nexus("requests", ...at)
    expect({ code: shown.code, stderr: shown.stderr }).toEqual({ code: 0, stderr: "" })
    const [heading, row, ...more] = lines(shown.stdout)
    expect(heading).toMatch(/^Request +Model +Backend +Phase +For +Attempts +Age +Answer$/)
    expect(row).toMatch(new RegExp(`^mine +m +one +committed +\\S+ +1 +\\S+ +${first.length} B, 1 piece$`))
    expect(more).toEqual([])

    const told = JSON.parse((await nexus("requests", "--json", ...at)).stdout)
    expect(told).toMatchObject({ requests: [{ id: "mine", phase: "committed", backend: "one", attempts: 1 }] })

    const why = await nexus("explain", "--request", "mine", ...at)
    expect(why.stdout).toMatch(/^Phase: +committed for \d+ ms$/m)
    expect(why.stdout).toMatch(/^1 +one +m +capability-match$/m)
    for (const { stdout } of [shown, why]) expect(stdout).not.toContain("secret")

    const ids = await nexus("complete", "requests", "--", "nexus", "requests", "cancel", ...at)
    expect(ids).toEqual({ code: 0, stdout: "mine\n", stderr: "" })

    const ended = await nexus("requests", "cancel", "mine", ...at)
    expect(ended).toEqual({
      code: 0,
      stdout: `Cancelled mine for m at one, after ${first.length} B of its answer.\n`,
      stderr: ""
    })
    expect((await client.answer()).text).toContain('"code":"request_cancelled"')
    await gateway.quiet()
    expect(await nexus("requests", "cancel", "mine", ...at)).toEqual({
      code: 1,
      stdout: "",
      stderr: "error: No request 'mine' is under way\n"
    })
    const afterwards = await nexus("explain", "--request", "mine", ...at)
    expect(afterwards.stdout).toMatch(/^Outcome: +cancelled, status 200$/m)
    expect((await nexus("requests", "cancel", ...at)).code).toBe(2)
  })
})
