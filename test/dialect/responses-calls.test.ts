import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { ChatEvent } from "../../src/dialect/chat.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { answersTo } from "../kit/codecs.ts"
import { type ResponseEventData, responseEvents } from "../kit/responses.ts"

const client = responses.operations[0].client!

const told = (events: ReadonlyArray<ChatEvent>): ReadonlyArray<ResponseEventData> => {
  const context = { model: "m", id: "z", now: 0, callIds: new Set<string>() }
  const stream = answersTo(client, { model: "m", input: "go" }).stream(context).start()
  return responseEvents(Buffer.concat(events.flatMap((event) => [...stream.push(event)])).toString())
}

const opens = (call: number): ChatEvent => ({ type: "call", call, id: `c${call}`, name: `tool${call}` })

const argues = (call: number, text: string): ChatEvent => ({ type: "arguments", call, text })

/** Opens and closes, by the place of their items, without what was said in between. */
const bounds = (events: ReadonlyArray<ResponseEventData>): ReadonlyArray<string> =>
  events
    .filter(({ item }) => item !== undefined)
    .map(({ item, output_index, type }) => `${output_index} ${type.split(".").at(-1)} ${String(item?.["type"])}`)

const call = fc.record({
  args: fc.constantFrom("{}", '{"a":1}', '{"a":{"b":"}"}}', '{"a":[1,2]} ', ""),
  size: fc.integer({ min: 1, max: 8 })
})

describe("calls in a stream of Responses", () => {
  test("come one by one, each with all of its arguments, however their pieces take turns", () =>
    fc.assert(
      fc.property(fc.array(call, { minLength: 1, maxLength: 4 }), fc.infiniteStream(fc.nat()), (calls, turns) => {
        const left = calls.map(({ args, size }, at) =>
          (args.match(new RegExp(`.{1,${size}}`, "g")) ?? []).map((text) => argues(at, text))
        )
        const events: Array<ChatEvent> = calls.map((_, at) => opens(at))
        while (left.some(({ length }) => length > 0)) {
          const waiting = left.filter(({ length }) => length > 0)
          const next = waiting[Number(turns.next().value) % waiting.length]?.shift()
          if (next !== undefined) events.push(next)
        }
        const all = told([...events, { type: "text", text: "Done." }, { type: "done" }])
        const items = [...calls.map(() => "function_call"), "message"]
        expect(bounds(all)).toEqual(items.flatMap((type, at) => [`${at} added ${type}`, `${at} done ${type}`]))
        const { response } = all.at(-1) ?? {}
        expect(response?.output.slice(0, -1).map((item) => String(item["arguments"]).trimEnd())).toEqual(
          // Blanks behind them are nothing that was said.
          calls.map(({ args }) => (args === "" ? "{}" : args.trimEnd()))
        )
      })
    ))

  test("are told as they come where each follows the one before it", () => {
    const seen = told([opens(0), argues(0, '{"a":1}'), opens(1), argues(1, '{"a":')])
    expect(bounds(seen)).toEqual(["0 added function_call", "0 done function_call", "1 added function_call"])
    expect(seen.at(-1)).toMatchObject({ output_index: 1, delta: '{"a":' })
  })

  test("fail where one goes on that was whole when another began, but for blanks", () => {
    const begun = [opens(0), argues(0, "{}"), opens(1), argues(1, "{"), argues(0, " ")]
    expect(told(begun).at(-1)).toMatchObject({ output_index: 1, delta: "{" })
    const [failed, error] = told([...begun, argues(0, "1}")]).slice(-2)
    expect(failed).toMatchObject({ type: "response.failed", response: { status: "failed" } })
    expect(error).toMatchObject({ type: "error", message: "The backend went on with a call that was whole" })
  })

  test("that a limit has cut are incomplete, and those that are whole are not", () => {
    const cut = told([
      opens(0),
      opens(1),
      opens(2),
      argues(1, "{}"),
      argues(0, '{"a'),
      argues(2, "{"),
      { type: "stop", stop: { reason: "length" } },
      { type: "done" }
    ])
    expect(bounds(cut)).toEqual([0, 1, 2].flatMap((at) => [`${at} added function_call`, `${at} done function_call`]))
    expect(cut.at(-1)?.response?.output).toMatchObject([
      { status: "incomplete" },
      { status: "completed" },
      { status: "incomplete" }
    ])
  })
})
