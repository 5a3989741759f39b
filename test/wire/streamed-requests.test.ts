import { describe, expect, test } from "bun:test"
import type { BodySource } from "../../src/wire/request-bytes.ts"
import { startRaw } from "../kit/rawServer.ts"
import { ask, client, hello, serverOf, until } from "./caller.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

/** A body of these pieces; behind a "later" it waits for `go`. */
const source = (pieces: ReadonlyArray<string | "later">, length?: number) => {
  let at = 0
  let more = (): void => undefined
  const body: BodySource = {
    length,
    next: () => {
      const piece = pieces[at]
      if (piece === "later") return "later"
      at += 1
      return piece === undefined ? undefined : bytes(piece)
    },
    onMore: (told) => {
      more = told
    }
  }
  return {
    body,
    at: () => at,
    go: () => {
      at += 1
      more()
    }
  }
}

describe("a request whose body is sent while it comes", () => {
  test("goes out in chunks where its length is not known", async () => {
    await using server = await serverOf([hello])
    const { body } = source(["abc", "d", "efgh"])
    expect(await ask(client(), server.url, { body })).toMatchObject({ status: 200, text: "hello" })
    const [seen] = server.requests
    expect(seen?.header("transfer-encoding")).toBe("chunked")
    expect(seen?.header("content-length")).toBeUndefined()
    expect(seen?.text).toBe("abcdefgh")
  })

  test("goes out as it is where it is known", async () => {
    await using server = await serverOf([hello])
    const { body } = source(["abc", "d"], 4)
    expect(await ask(client(), server.url, { body })).toMatchObject({ text: "hello" })
    const [seen] = server.requests
    expect([seen?.header("transfer-encoding"), seen?.header("content-length"), seen?.text]).toEqual([
      undefined,
      "4",
      "abcd"
    ])
  })

  test("waits for what is not there yet", async () => {
    await using server = await serverOf([hello])
    const { body, go } = source(["abc", "later", "d"])
    const answer = ask(client(), server.url, { body })
    await until(() => server.accepted() === 1)
    go()
    expect(await answer).toMatchObject({ text: "hello" })
    expect(server.requests[0]?.text).toBe("abcd")
  })

  test("is asked for no more than the backend takes", async () => {
    await using server = await startRaw({ script: () => [hello], greet: () => ["deaf", "hang"] })
    const piece = "x".repeat(1_000_000)
    const { at, body } = source(Array.from({ length: 100 }, () => piece))
    const calling = client()
    void ask(calling, server.url, { body }).catch(() => undefined)
    await until(() => at() > 0)
    await Bun.sleep(100)
    expect(at()).toBeLessThan(40)
  })

  test("has a connection of its own, which is kept when all went well", async () => {
    await using server = await serverOf([hello])
    const one = client()
    await ask(one, server.url)
    await ask(one, server.url, { body: source(["abc"]).body })
    expect(server.accepted()).toBe(2)
    await ask(one, server.url)
    expect([server.accepted(), one.idle()]).toEqual([2, 2])
  })

  test("that is answered before all of it has come gets the answer, and its connection is not used again", async () => {
    await using server = await startRaw({ script: () => [hello], greet: (nth) => (nth === 0 ? [hello, "hang"] : []) })
    const one = client()
    expect(await ask(one, server.url, { body: source(["abc", "later"]).body })).toMatchObject({ text: "hello" })
    expect([one.idle(), one.open()]).toEqual([0, 0])
  })
})
