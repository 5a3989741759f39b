import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { EventWatch } from "../../src/dialect/openai/event-watch.ts"
import { usageFrom } from "../../src/dialect/openai/usage.ts"
import { delta, done, event } from "../kit/answers.ts"
import { holdsUnderAnyCutting, watchCodec } from "../kit/cutting.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

const watched = (...pieces: ReadonlyArray<string | Uint8Array>): EventWatch => {
  const watch = new EventWatch()
  for (const piece of pieces) watch.push(typeof piece === "string" ? bytes(piece) : piece)
  return watch
}

/** All that can be asked of a watch. */
const knows = (watch: EventWatch) => ({
  opening: watch.opening,
  orderly: watch.ending(true),
  torn: watch.ending(false),
  separator: watch.separator(),
  usage: new TextDecoder().decode(watch.usage()),
  begun: watch.begun,
  written: watch.written
})

const chunkOf = (choices: ReadonlyArray<Readonly<Record<string, unknown>>>, more = {}) =>
  event({ id: "1", object: "chat.completion.chunk", created: 1, model: "m", ...more, choices })

const says = (content: string, index = 0, finish: unknown = null) =>
  chunkOf([{ index, delta: { content }, finish_reason: finish }])

const ends = (finish: unknown, index = 0) => chunkOf([{ index, delta: {}, finish_reason: finish }])

const role = chunkOf([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }])

describe("a stream begins", () => {
  const rows: ReadonlyArray<[string, string, string]> = [
    ["nothing yet", "", "waiting"],
    ["comments only", ": keep-alive\n\n: prefill 3/10\n\n", "waiting"],
    ["half a line", 'data: {"id', "waiting"],
    ["a word", says("a"), "good"],
    ["a word after comments", `: ping\n\n${says("a")}`, "good"],
    ["a word without its blank line", says("a").trimEnd(), "good"],
    ["no space after the colon", says("a").replace("data: ", "data:"), "good"],
    ["CRLF lines", says("a").replaceAll("\n", "\r\n"), "good"],
    ["CR lines", says("a").replaceAll("\n", "\r"), "good"],
    ["a byte order mark", `\ufeff${says("a")}`, "good"],
    ["a legacy completion", event({ choices: [{ text: "a", index: 0, finish_reason: null }] }), "good"],
    ["thinking", chunkOf([{ index: 0, delta: { content: null, reasoning_content: "hm" } }]), "good"],
    ["a call", chunkOf([{ index: 0, delta: { tool_calls: [{ index: 0, function: { name: "f" } }] } }]), "good"],
    ["a finish reason at once", role + ends("stop"), "good"],
    ["a role alone", role, "waiting"],
    ["a role without content", chunkOf([{ index: 0, delta: { role: "assistant", content: null } }]), "waiting"],
    ["a list without choices, as Azure sends it", chunkOf([], { prompt_filter_results: [{ a: 1 }] }), "waiting"],
    ["an empty data line", "data:\n\ndata: \n\n", "waiting"],
    ["a ping", event({ type: "ping" }), "waiting"],
    ["an error that is null", says("a").replace("{", '{"error":null,'), "good"],
    ["an error that is empty", says("a").replace("{", '{"error":"",'), "good"],
    ["an error that is false", says("a").replace("{", '{"error":false,'), "good"],
    ["an error of nothing", says("a").replace("{", '{"error":{},'), "good"],
    ["an error of empty words", says("a").replace("{", '{"error":{"message":"","code":0,"x":[null]},'), "good"],
    ["an error", event({ error: { message: "x" } }), "error"],
    ["an error as text", event({ error: "x" }), "error"],
    ["an error without spaces", 'data:{ "error" : {"message":"x"}}\n\n', "error"],
    ["an error by its name", 'event: error\ndata: {"message":"x"}\n\n', "error"],
    ["a text that is an error by its name", "event: error\ndata: busy\n\n", "error"],
    ["an old vLLM error", event({ object: "error", message: "x" }), "error"],
    ["an error in a list", 'data: [{"error":{"code":503}}]\n\n', "error"],
    ["an error behind a role", role + event({ error: { message: "x" } }), "error"],
    ["an error behind an empty data line", `data:\n\n${event({ error: { message: "x" } })}`, "error"],
    ["an error behind a ping", `${event({ type: "ping" })}: ping\n\n${event({ error: { message: "x" } })}`, "error"],
    ["an error among other fields", event({ id: "1", error: { message: "x" }, choices: [] }), "error"],
    ["an error beside a choice", chunkOf([{ index: 0, delta: {} }], { error: { message: "x" } }), "error"],
    ["words of a failure", event({ code: 500, msg: "x" }), "error"],
    ["a detail", event({ detail: "x" }), "error"],
    ["a finish reason that is an error", ends("error"), "error"],
    ["the end marker", done, "error"]
  ]
  for (const [name, input, expected] of rows) {
    test(`with ${name}: ${expected}`, () => expect(watched(input).opening as string).toBe(expected))
  }
})

describe("a stream ends", () => {
  const rows: ReadonlyArray<[string, string, string, string?]> = [
    ["with the end marker", says("a") + ends("stop") + done, "done"],
    ["with the end marker and a comment behind it", `${says("a")}${done}: after\n\n`, "done"],
    ["with the end marker without its blank line", `${says("a")}data: [DONE]`, "done"],
    ["with the end marker in CRLF", "data: [DONE]\r\n\r\n", "done"],
    ["with a finish reason alone", says("a") + ends("stop"), "finished"],
    ["with a finish reason and usage", `${ends("length")}${chunkOf([], { usage: { prompt_tokens: 1 } })}`, "finished"],
    [
      "with a finish reason and 300 KB of citations",
      ends("stop") + event({ citations: "x".repeat(300_000) }),
      "finished"
    ],
    [
      "with 300 KB in the event that finishes",
      chunkOf([{ index: 0, delta: {}, finish_reason: "stop" }], { ids: Array(100_000).fill(7) }),
      "finished"
    ],
    ["with a finish reason, and words after it", ends("stop") + says(""), "finished"],
    ["in the middle of an event after a finish reason", `${ends("stop")}data: {"usage":{"prompt`, "cut"],
    ["with an error and the end marker", says("a") + event({ error: { message: "x" } }) + done, "failed and done"],
    ["with an error", says("a") + event({ error: { message: "x" } }), "failed"],
    ["with an error by its name", `${says("a")}event: error\ndata: {"message":"x"}\n\n`, "failed"],
    ["with an error whose name comes last", `${says("a")}data: {"message":"x"}\nevent: error\n\n`, "failed"],
    ["with a flat error", says("a") + event({ object: "error", message: "x" }), "failed"],
    ["with an error of a choice", says("a") + ends("error") + done, "failed and done"],
    ["with an error that is null", `${says("a")}data: {"error": null}\n\n${done}`, "done"],
    ["with an error in its text", says('data: {"error":1}') + done, "done"],
    ["with a null finish reason", says("a"), "cut"],
    ["with an empty finish reason", says("a", 0, ""), "cut"],
    ["with the finish reason null in quotes", says("a", 0, "null") + ends("null"), "cut"],
    ["with the finish reason error", says("a") + ends("error"), "cut"],
    ["with the finish reason abort", says("a") + ends("abort"), "cut"],
    ["with a finish reason of nothing but a space", says("a") + ends(" "), "cut"],
    ["with a finish reason that is false", says("a") + ends(false), "cut"],
    ["with nothing", "", "cut"],
    ["with a marker in its text", says("data: [DONE]"), "cut"],
    ["with a finish reason in its text", says('"finish_reason":"stop"'), "cut"],
    [
      "with a finish reason of something else",
      event({ choices: [{ index: 0, delta: { finish_reason: "stop" } }] }),
      "cut"
    ],
    ["with what is not the marker", "data: [DONE] not\n\n", "cut"],
    ["when one choice of two has ended", says("a", 0) + says("b", 1) + ends("stop", 0), "cut"],
    ["when both choices have ended", says("a", 0) + says("b", 1) + ends("stop", 1) + ends("length", 0), "finished"],
    [
      "when two of two in one event have ended",
      chunkOf([
        { index: 0, finish_reason: "stop" },
        { index: 1, finish_reason: "stop" }
      ]),
      "finished"
    ],
    [
      "when a choice without an index has ended",
      event({ choices: [{ text: "a", finish_reason: "length" }] }),
      "finished"
    ],
    ["when a choice has only begun", role.replace('"index":0', '"index":1') + says("a") + ends("stop"), "cut"]
  ]
  for (const [name, input, expected] of rows) {
    test(`${name}: ${expected}`, () => expect(watched(input).ending(true) as string).toBe(expected))
  }

  for (const word of ["length", "tool_calls", "function_call", "content_filter", "eos", "STOP", "end_turn"]) {
    test(`well with ${word}, even torn off`, () => expect(watched(ends(word)).ending(false)).toBe("finished"))
  }

  test("with a word nobody knows only when its body comes to its end", () => {
    const watch = watched(says("a"), ends("because"))
    expect([watch.ending(true), watch.ending(false)]).toEqual(["finished", "cut"])
    watch.push(bytes(done))
    expect(watch.ending(false)).toBe("done")
  })
})

test("what is known of a stream is the same however its bytes are cut", () => {
  const pieces = fc.constantFrom(
    role,
    says("a"),
    says('é😀 "quoted" \\ \n'),
    says("b", 1),
    says("a", 0, ""),
    ends("stop"),
    ends("stop", 1),
    ends("because"),
    ends("error"),
    event({ error: { message: "x" } }),
    event({ error: {} }),
    event({ code: 500, msg: "x" }),
    done,
    ": ping\n\n",
    "data:\n\n",
    "data: [DO\n\n",
    "data: {oops\n\n",
    "data: \u000b\u0000 \u001f\n\n",
    "event: error\n",
    "id: 7\n",
    "\r",
    "\n",
    'data: {"choices":\ndata: []}\n\n',
    chunkOf([], { usage: { prompt_tokens: 3, completion_tokens: 4, details: { cached_tokens: 1 } } }),
    says("a").replaceAll("\n", "\r\n"),
    chunkOf([{ index: 0, delta: { tool_calls: [{ index: 1, function: { arguments: '{"a' } }] } }]),
    'data: {"choices":[{"delta":{"content":"\\'
  )
  const texts = fc.array(pieces, { maxLength: 8 }).map((all) => bytes(all.join("")))
  return holdsUnderAnyCutting(
    watchCodec(() => new EventWatch(), knows),
    texts,
    (all) => all,
    400
  )
})

test("an event that is like the one before it counts as if it had been read", () => {
  const alike = fc.constantFrom(
    says("a"),
    says(""),
    says("bc"),
    says('"'),
    says("\\"),
    says("a", 1),
    says("x\ny"),
    ends("stop"),
    says("a", 0, "stop")
  )
  fc.assert(
    fc.property(fc.array(alike, { maxLength: 12 }), fc.constantFrom("\n", "\r\n", "\r"), (all, lineEnd) => {
      const events = all.map((each) => each.replaceAll("\n", lineEnd))
      expect(knows(watched(...events))).toEqual(knows(watched(events.join(""))))
    })
  )
})

test("an answer is whole exactly when every choice that began has ended well", () => {
  const steps = fc.array(fc.tuple(fc.nat(3), fc.constantFrom(null, "", "stop", "length")), {
    minLength: 1,
    maxLength: 20
  })
  fc.assert(
    fc.property(steps, (all) => {
      const begun = new Map<number, boolean>()
      for (const [index, finish] of all) begun.set(index, begun.get(index) === true || (finish ?? "") !== "")
      const watch = watched(...all.map(([index, finish]) => says("a", index, finish)))
      expect(watch.ending(false)).toBe([...begun.values()].every(Boolean) ? "finished" : "cut")
    })
  )
})

/** The data of the events of a text, read as the standard of event streams says. */
const dataOf = (text: string): ReadonlyArray<string> => {
  const events: Array<string> = []
  let data: Array<string> = []
  for (const line of text.split(/\r\n|\n|\r/)) {
    if (line === "") {
      if (data.length > 0) events.push(data.join("\n"))
      data = []
    } else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""))
  }
  return events
}

test("what is added to a stream is an event of its own, whatever came before it", () => {
  const before = fc.array(fc.constantFrom("data: a", "data: {", ": c", "\n", "\r", "\r\n", "id: 1", "d"), {
    maxLength: 10
  })
  fc.assert(
    fc.property(before, (all) => {
      const text = all.join("")
      expect(dataOf(`${text}${watched(text).separator()}data: added\n\n`).at(-1)).toBe("added")
    })
  )
  expect(watched(says("a")).separator()).toBe("")
})

describe("progress", () => {
  const isProgress = (...pieces: ReadonlyArray<string>) => {
    const watch = new EventWatch()
    return pieces.map((piece) => watch.push(bytes(piece)))
  }

  test("is any piece with a line that is no comment", () => {
    expect(isProgress(": ping\n\n", ": ping\n\n: pong\r\n\r\n", ": ping\n\ndata: {}\n\n")).toEqual([false, false, true])
    expect(isProgress("data: :\n\n", "\n\n", "data", ": a\n: b")).toEqual([true, false, true, true])
  })

  test("is no comment, however it is cut", () => {
    const pieces = [":", " pi", "ng\n", "\n", "data: {}\n", ": ", "data: no\n"]
    expect(isProgress(...pieces)).toEqual(pieces.map((piece) => piece === "data: {}\n"))
    const text = fc.stringMatching(/^(:[a-z: ]{0,8}\n{1,2}){0,6}$/)
    fc.assert(
      fc.property(text, fc.array(fc.nat(40)), (comments, cuts) => {
        const at = [0, ...cuts.filter((cut) => cut < comments.length).sort((a, b) => a - b), comments.length]
        const pieces = at.slice(1).map((to, i) => comments.slice(at[i], to))
        expect(isProgress(...pieces, "d")).toEqual([...pieces.map(() => false), true])
      })
    )
  })
})

test("what llama-server timed counts where nobody asked for a usage, and gives way to one", () => {
  const timings = { cache_n: 16, prompt_n: 3, prompt_ms: 2.5, predicted_n: 4, predicted_ms: 1 }
  const last = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }], timings }
  const usage = { prompt_tokens: 30, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 6 } }
  const used = (...events: ReadonlyArray<object>): unknown => {
    const text = events.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("")
    return usageFrom(watched(text, done).usage())
  }
  expect(used(last)).toEqual({ prompt: 19, cached: 16, completion: 4 })
  for (const all of [[{ choices: [], usage, timings }], [last, { choices: [], usage }], [{ choices: [], usage }, last]])
    expect(used(...all)).toEqual({ prompt: 30, cached: 6, completion: 5 })
  expect(used({ choices: [{ index: 0, delta: { timings } }] })).toBeUndefined()
})

test("the usage that counts is the last one, wherever a server puts it", () => {
  const usage = { prompt_tokens: 3, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 1 } }
  const usageOf = (...pieces: ReadonlyArray<string>): unknown => {
    const text = new TextDecoder().decode(watched(...pieces).usage())
    return text === "" ? undefined : JSON.parse(text)
  }
  expect(usageOf(chunkOf([], { usage: { prompt_tokens: 1 } }), chunkOf([], { usage }))).toEqual(usage)
  expect(usageOf(chunkOf([], { usage }), chunkOf([], { usage: null }), done)).toEqual(usage)
  expect(usageOf(chunkOf([], { x_groq: { id: "1", usage } }))).toEqual(usage)
  expect(usageOf(chunkOf([{ index: 0, delta: {}, usage }]))).toEqual(usage)
  expect(usageOf(says('"usage":{"prompt_tokens":9}'))).toBeUndefined()
  expect(usageOf(event({ usage: { x: "y".repeat(5000) } }))).toBeUndefined()
})

test("a choice that was never counted does not make an answer whole", () => {
  const many = Array.from({ length: 1100 }, (_, index) => ({ index, delta: { content: "a" }, finish_reason: "stop" }))
  expect(watched(chunkOf(many)).ending(true)).toBe("cut")
  expect(watched(event(delta("m", { content: "a" }, "stop"))).ending(true)).toBe("finished")
})
