/**
 * What a hook is told and what it says, as JSON over HTTP; `docs/hooks.md` has it for those who write one.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ShownText } from "../dialect/shown-texts.ts"
import type { HookPhase } from "../domain/hook-rules.ts"
import { printable } from "../domain/printable.ts"

/** What is told of the request that texts are from. */
export interface HookSubject {
  readonly request_id: string
  readonly endpoint: string
  readonly dialect: string
  readonly model: string
  readonly stream: boolean
  readonly key: string | null
  readonly owner: string | null
}

/** One question to a hook; `window` counts those of one answer from 0, and `last` is the one nothing comes after. */
export interface HookQuestion {
  readonly phase: HookPhase
  readonly texts: ReadonlyArray<Pick<ShownText, "kind" | "message" | "name" | "role" | "text">>
  readonly media: number
  readonly window: number
  readonly last: boolean
}

/** The version of what is told; it goes up when something is told otherwise, and not when more is told. */
const contractVersion = 1

/** The body of a question. */
export const hookBody = (hook: string, subject: HookSubject, question: HookQuestion): string => {
  const { last, media, phase, texts, window } = question
  return JSON.stringify({
    version: contractVersion,
    phase,
    hook,
    ...subject,
    ...(phase === "answer" ? { window, last } : {}),
    // A name that there is none of is left out by JSON itself.
    texts: texts.map(({ kind, message, name, role, text }, index) => {
      const numbered = message ?? null
      return { index, role, kind, message: numbered, name, text }
    }),
    media
  })
}

/** What a hook says. */
export type HookVerdict =
  | { readonly action: "allow" }
  | { readonly action: "block"; readonly reason: string }
  /** Texts by their places. */
  | { readonly action: "replace"; readonly texts: ReadonlyMap<number, string> }

const Said = Schema.Union([
  Schema.Struct({ action: Schema.Literals(["allow"]) }),
  Schema.Struct({ action: Schema.Literals(["block"]), reason: Schema.optionalKey(Schema.NullOr(Schema.String)) }),
  Schema.Struct({
    action: Schema.Literals(["replace"]),
    texts: Schema.Array(Schema.Struct({ index: Schema.Int, text: Schema.String }))
  })
])

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Said))

// Clients are told it.
const longestReason = 500

/** Reads what a hook has answered to so many texts; fails with what is wrong with that. */
export const hookVerdict = (status: number, text: string, asked: number): Result.Result<HookVerdict, string> => {
  if (status !== 200) return Result.fail(`it answered with status ${status}`)
  const read = decode(text)
  if (Result.isFailure(read)) return Result.fail("its answer is not one of allow, block or replace")
  const said = read.success
  if (said.action === "allow") return Result.succeed({ action: "allow" })
  if (said.action === "block") {
    return Result.succeed({ action: "block", reason: printable(said.reason ?? "").slice(0, longestReason) })
  }
  const texts = new Map(said.texts.map((each) => [each.index, each.text]))
  const beyond = [...texts.keys()].find((index) => index < 0 || index >= asked)
  return beyond === undefined
    ? Result.succeed({ action: "replace", texts })
    : Result.fail(`it replaces text ${beyond}, and was shown ${asked}`)
}
