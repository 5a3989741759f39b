/**
 * The hooks of the gateway: which of them a request is shown to, and what they say of its texts.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { HookRule } from "../domain/hook-rules.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import { RequestLog } from "../telemetry/logging.ts"
import { Transport } from "../upstream/Transport.ts"
import { hookBody, type HookQuestion, type HookSubject, hookVerdict, type HookVerdict } from "./hook-contract.ts"

/** What a hook has said, or why it has said nothing, and how long that took in milliseconds. */
export interface HookAnswer {
  readonly verdict: Result.Result<HookVerdict, string>
  readonly ms: number
}

/** Who judges texts outside of the gateway. */
export class Hooks extends Context.Service<
  Hooks,
  {
    /** All hooks of the moment. */
    readonly rules: () => ReadonlyArray<HookRule>
    /** Asks one; never fails, nothing said is an answer as well. */
    readonly ask: (rule: HookRule, subject: HookSubject, question: HookQuestion) => Effect.Effect<HookAnswer>
  }
>()("nexus/hooks/Hooks") {
  /** None. */
  static readonly none = Layer.succeed(Hooks, { rules: () => [], ask: () => Effect.never })

  /** By the settings of the moment. */
  static readonly layer = (rules: () => ReadonlyArray<HookRule>) => Layer.effect(Hooks, makeHooks(rules))
}

const bearer = ({ key }: HookRule): Record<string, string> =>
  key === undefined ? {} : { authorization: `Bearer ${Redacted.value(key)}` }

/** Asks a hook over a transport. */
export const askHook = (
  { ask }: Pick<Transport["Service"], "ask">,
  rule: HookRule,
  subject: HookSubject,
  question: HookQuestion
): Effect.Effect<HookAnswer> =>
  Effect.suspend(() => {
    const began = performance.now()
    const asked = (fresh: boolean) =>
      ask({
        method: "POST",
        url: rule.url,
        headers: { "content-type": "application/json", accept: "application/json", ...bearer(rule) },
        body: hookBody(rule.name, subject, question),
        timeoutMs: rule.timeoutMs,
        fresh
      })
    // A kept connection may have been closed just then, and to be asked twice does a hook no harm.
    const call = Effect.catchTag(asked(false), "ConnectionLost", () => asked(true))
    return Effect.match(call, {
      onFailure: (error) => ({ verdict: Result.fail(silence(rule, error)), ms: performance.now() - began }),
      onSuccess: ({ status, text }) => ({
        verdict: hookVerdict(status, text, question.texts.length),
        ms: performance.now() - began
      })
    })
  })

const silence = ({ timeoutMs }: HookRule, error: UpstreamError): string => {
  if (error._tag === "TimedOut") return `it did not answer within ${timeoutMs / 1000} s`
  return "reason" in error ? error.reason : "it could not be asked"
}

const makeHooks = Effect.fnUntraced(function* (rules: () => ReadonlyArray<HookRule>) {
  const transport = yield* Transport
  const log = yield* RequestLog
  // Once until it answers again: one that is away fails with every request.
  const silent = new Set<string>()
  const told = (name: string, why: string | undefined): void => {
    if (why === undefined) {
      if (silent.delete(name)) log.write("info", "a hook answers again", { hook: name })
    } else if (!silent.has(name)) {
      silent.add(name)
      log.write("warn", "a hook does not answer as it should", { hook: name, reason: why })
    }
  }
  return Hooks.of({
    rules,
    ask: (rule, subject, question) =>
      Effect.map(askHook(transport, rule, subject, question), (answer) => {
        told(rule.name, Result.isFailure(answer.verdict) ? answer.verdict.failure : undefined)
        return answer
      })
  })
})
