/**
 * The hooks of one request: what they are shown of it and of its answer, one after the other, and what becomes of it by what
 * they say.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type ShownText, textsOfRequest } from "../dialect/shown-texts.ts"
import type { ReadRequest } from "../dialect/Dialect.ts"
import { type BodyReading, buildBody, type ParsedBody } from "../dialect/parsed-body.ts"
import type { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import { type GatewayError, HookUnavailable, PolicyBlocked } from "../domain/errors.ts"
import { type HookAction, type HookPhase, type HookRule, isHookFor } from "../domain/hook-rules.ts"
import type { WindowText } from "../hooks/answer-window.ts"
import type { HookSubject, HookVerdict } from "../hooks/hook-contract.ts"
import type { Hooks } from "../hooks/Hooks.ts"
import { aliasChain } from "../router/alias-chains.ts"
import type { Plan } from "../router/plan.ts"
import type { RuleCounts } from "../telemetry/rule-counts.ts"
import type { RequestRecord } from "./record.ts"
import { exactObject } from "../dialect/exact-json.ts"

/** What asks hooks. */
export interface GuardNeeds {
  readonly hooks: Hooks["Service"]
  readonly accounting: { readonly rules: RuleCounts }
  readonly turns: EventLoopTurns
}

/** Why a request or its answer does not go on. */
export type GuardRefusal = HookUnavailable | PolicyBlocked

/** Whether a failure is such a refusal, and says nothing of who answered. */
export const isGuardRefusal = (error: { readonly _tag: string }): error is GuardRefusal =>
  error._tag === "PolicyBlocked" || error._tag === "HookUnavailable"

/** What is shown at a time, beside the texts. */
export interface ShownPart {
  readonly media: number
  readonly window: number
  readonly last: boolean
}

const encoder = new TextEncoder()

const retryAfterSeconds = 5

const unfit = "it puts something else in the place of a JSON object"

const isFit = (verdict: HookVerdict, texts: ReadonlyArray<WindowText>): boolean =>
  verdict.action !== "replace" ||
  [...verdict.texts].every(([at, text]) => texts[at]?.isJson !== true || exactObject(text) !== undefined)

/** The hooks that a request and its answer are shown to. */
export class Guard {
  readonly rules: ReadonlyArray<HookRule>
  private readonly needs: GuardNeeds
  private readonly record: RequestRecord
  private readonly subject: HookSubject

  constructor(needs: GuardNeeds, record: RequestRecord, rules: ReadonlyArray<HookRule>) {
    const { grant, id, key, model, route, stream } = record
    this.needs = needs
    this.record = record
    this.rules = rules
    this.subject = {
      request_id: id,
      endpoint: route.operation.name,
      dialect: route.dialect.id,
      model,
      stream,
      key: key ?? null,
      owner: grant?.owner ?? null
    }
  }

  /** Those that are shown answers. */
  get answerRules(): ReadonlyArray<HookRule> {
    return this.rules.filter(({ phases }) => phases.includes("answer"))
  }

  /** Whether there are any. */
  get judgesAnswers(): boolean {
    return this.rules.some(({ phases }) => phases.includes("answer"))
  }

  /** The texts as they go on; fails where they do not. */
  judged(
    phase: HookPhase,
    texts: ReadonlyArray<WindowText>,
    part: ShownPart
  ): Effect.Effect<ReadonlyArray<string>, GuardRefusal> {
    const { hooks } = this.needs
    const { rules, subject } = this
    const heard = (rule: HookRule, verdict: Result.Result<HookVerdict, string>, ms: number) =>
      this.heard(rule, phase, verdict, ms)
    return Effect.gen(function* () {
      let shown = texts
      if (shown.length === 0 && part.media === 0) return []
      for (const rule of rules) {
        if (!rule.phases.includes(phase)) continue
        const { ms, verdict } = yield* hooks.ask(rule, subject, { ...part, phase, texts: shown })
        const said = Result.isSuccess(verdict) && !isFit(verdict.success, shown) ? Result.fail<string>(unfit) : verdict
        const others = yield* heard(rule, said, ms)
        if (others !== undefined) shown = shown.map((each, at) => ({ ...each, text: others.get(at) ?? each.text }))
      }
      return shown.map(({ text }) => text)
    })
  }

  /** Notes that something cannot be shown; why it does not go on then, undefined where it does. */
  unseen(phase: HookPhase | undefined, what: string): PolicyBlocked | undefined {
    let refusal: PolicyBlocked | undefined
    for (const { name, onError, phases } of this.rules) {
      for (const each of phase === undefined ? phases : phases.filter((own) => own === phase)) {
        const isRefused = onError === "block"
        this.note(name, each, isRefused ? "block" : "unseen", 0)
        if (isRefused) {
          refusal ??= new PolicyBlocked({ hook: name, phase: each, reason: `it has to see it, and cannot see ${what}` })
        }
      }
    }
    return refusal
  }

  private heard(
    { name, onError }: HookRule,
    phase: HookPhase,
    verdict: Result.Result<HookVerdict, string>,
    ms: number
  ): Effect.Effect<ReadonlyMap<number, string> | undefined, GuardRefusal> {
    if (Result.isFailure(verdict)) {
      this.note(name, phase, "failed", ms)
      return onError === "allow"
        ? Effect.undefined
        : Effect.fail(new HookUnavailable({ hook: name, retryAfterSeconds }))
    }
    const said = verdict.success
    this.note(name, phase, said.action, ms)
    if (said.action === "block") return Effect.fail(new PolicyBlocked({ hook: name, phase, reason: said.reason }))
    return Effect.succeed(said.action === "replace" ? said.texts : undefined)
  }

  private note(hook: string, phase: HookPhase, action: HookAction, ms: number): void {
    const { rules } = this.needs.accounting
    this.record.hooked({ hook, phase, action, ms })
    rules.add("hooks", [hook, phase, action])
    rules.add("hookSeconds", [hook, phase], ms / 1000)
  }
}

/** The names by which settings may mean the model of a request: every one that leads to somebody who may answer. */
export const modelNamesIn = ({ requested, settings, targets }: Plan): ReadonlySet<string> => {
  const names = new Set<string>()
  const add = (name: string): void => {
    for (const each of aliasChain(name, settings.aliases)) names.add(each)
  }
  add(requested)
  for (const { candidates, entry, name, via = [] } of targets) {
    for (const each of [name, entry, ...via, ...(settings.groups.get(name) ?? [])]) add(each)
    for (const { model } of candidates) names.add(model.id)
  }
  return names
}

/** The hooks for a request whose model may be known yet; undefined where there are none. */
export const guardFor = (
  needs: GuardNeeds,
  record: RequestRecord,
  plan: Plan | undefined,
  before?: Guard
): Guard | undefined => {
  const all = needs.hooks.rules()
  return all.length === 0 ? undefined : guardOf(all, needs, record, plan, before)
}

const guardOf = (
  all: ReadonlyArray<HookRule>,
  needs: GuardNeeds,
  record: RequestRecord,
  plan: Plan | undefined,
  before: Guard | undefined
): Guard | undefined => {
  let names: ReadonlySet<string> | undefined
  const rules = all.filter((rule) => {
    if (rule.models !== undefined && plan !== undefined) names ??= modelNamesIn(plan)
    return isHookFor(rule, names, record.key)
  })
  // One that is planned again has been judged, unless it may go where others judge.
  const isSame = before !== undefined && rules.every(({ name }) => before.rules.some((rule) => rule.name === name))
  return rules.length === 0 || isSame ? before : new Guard(needs, record, rules)
}

/** Why a request does not go on of which nothing can be shown; `plan` where its model is known. */
export const unseenRefusal = (
  needs: GuardNeeds,
  record: RequestRecord,
  plan: Plan | undefined,
  what: string
): PolicyBlocked | undefined => guardFor(needs, record, plan)?.unseen(undefined, what)

/** Puts the texts into their places that are others now; tells whether there were any. */
export const putOthers = (texts: ReadonlyArray<ShownText>, others: ReadonlyArray<string>): boolean => {
  let changed = false
  for (const [at, { put, text }] of texts.entries()) {
    const other = others[at]
    if (other === undefined || other === text) continue
    changed = true
    put(other)
  }
  return changed
}

/** A request that has been judged: its body, and whether other words stand in it. */
export interface GuardedBody {
  readonly body: Uint8Array
  readonly changed: boolean
}

/**
 * Has a request judged. What goes on is written anew from what was shown: of a field that is there twice, the hook and the
 * server could take different ones otherwise.
 */
export const guardedBody = (
  guard: Guard,
  { turns }: GuardNeeds,
  body: Uint8Array,
  { parsed }: ReadRequest
): Effect.Effect<GuardedBody, GatewayError> => {
  const shown = (read: ParsedBody): Effect.Effect<GuardedBody, GuardRefusal> => {
    const json: Record<PropertyKey, unknown> = { ...read.exact() }
    const { media, texts } = textsOfRequest(json)
    return Effect.map(guard.judged("request", texts, { media, window: 0, last: true }), (others) => {
      const changed = putOthers(texts, others)
      return { body: encoder.encode(JSON.stringify(json)), changed }
    })
  }
  if (parsed !== undefined) return shown(parsed)
  const built: BodyReading | Promise<BodyReading> = buildBody(body, turns)
  return Effect.flatMap(
    Effect.promise(() => Promise.resolve(built)),
    (made): Effect.Effect<GuardedBody, GatewayError> =>
      Result.isFailure(made) ? Effect.fail(made.failure) : shown(made.success)
  )
}
