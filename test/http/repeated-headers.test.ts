import { expect, test } from "bun:test"
import { Effect } from "effect"
import { listen } from "../../src/http/listen.ts"
import { RepeatedHeaders } from "../../src/http/repeated-headers.ts"

const empty = new Uint8Array(0)

/** The headers of this name that answers have, which are made one after the other before the first of them is looked at. */
const told = (all: ReadonlyArray<Record<string, string>>, name: string): ReadonlyArray<string | null> => {
  const repeated = new RepeatedHeaders()
  return all
    .map((headers) => new Response(empty, { headers: repeated.of(headers) }))
    .map(({ headers }) => headers.get(name))
}

const ids = Array.from({ length: 40 }, (_, at) => `id-${at}`)

test("each answer has its own values, whatever others have", () => {
  expect(
    told(
      ids.map((id) => ({ "x-request-id": id, "content-type": "text/plain" })),
      "x-request-id"
    )
  ).toEqual(ids)
})

test("an answer has no header that those before it had and it has not", () => {
  const kinds = [{ "x-one": "1" }, { "x-one": "1", "x-two": "2" }, { "x-two": "2" }, {}] as const
  const all = ids.map((_, at) => kinds[Math.floor(at / 3) % kinds.length] ?? {})
  expect(told(all, "x-one")).toEqual(all.map((each) => ("x-one" in each ? "1" : null)))
  expect(told(all, "x-two")).toEqual(all.map((each) => ("x-two" in each ? "2" : null)))
})

test("more kinds of answers than are told apart have their headers", () => {
  const all = ids.flatMap((id, at) => [
    { [`x-${at % 13}`]: "", "x-id": id },
    { [`x-${at % 13}`]: "", "x-id": `${id} again` }
  ])
  expect(told(all, "x-id")).toEqual(all.map((each) => each["x-id"]))
})

test("what is changed of an answer, or cannot be a header, is nothing to the next one", () => {
  const repeated = new RepeatedHeaders()
  const answer = (id: string) => new Response(empty, { headers: repeated.of({ "x-id": id, "x-of": id }) })
  for (const id of ids.slice(0, 3)) answer(id).headers.set("x-id", "another")
  expect(() => answer("not\r\nallowed")).toThrow()
  expect([...answer("last").headers]).toEqual([
    ["x-id", "last"],
    ["x-of", "last"]
  ])
})

test("requests that are answered at once each read their own headers", async () => {
  const server = listen({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request, { reply }) => {
      const id = request.headers.get("x-id") ?? ""
      await Promise.resolve()
      const answer = reply(new Uint8Array(Buffer.from(id)), { status: 200, headers: { "x-id": id, "x-other": "same" } })
      await Promise.resolve()
      return answer
    }
  })
  await Effect.flatMap(server, ({ port }) =>
    Effect.promise(async () => {
      const asked = ids.map(async (id) => {
        const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { "x-id": id } })
        return [answer.headers.get("x-id"), answer.headers.get("x-other"), await answer.text()]
      })
      expect(await Promise.all(asked)).toEqual(ids.map((id) => [id, "same", id]))
    })
  ).pipe(Effect.scoped, Effect.runPromise)
})
