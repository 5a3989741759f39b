/**
 * Schemas for what strangers send: a field that is null, missing or of another type is simply not there.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Capabilities, Model, ToldLoad } from "../domain/server.ts"

/** An optional field that becomes undefined when its value does not fit. */
export const lenientField = <S extends Schema.Top>(schema: S) =>
  Schema.optionalKey(
    Schema.UndefinedOr(schema).pipe(Schema.catchDecoding(() => Effect.succeed(Option.some(undefined))))
  )

/** A number of tokens, also when it is written as a string. */
export const TokenCount = Schema.Union([Schema.Finite, Schema.FiniteFromString])

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** How many requests a server works on at once; anything else says nothing. */
export const SlotCount = between(1, 60_000)

/** How many requests there are of a sort. */
export const RequestCount = between(0, 1_000_000)

/** How many tokens a cache holds. */
export const CacheTokens = between(1, 1_000_000_000)

const isCacheTokens = Schema.is(CacheTokens)

/** Some figures as one; undefined when one of them is not known, or none is there. */
export const sumOf = (figures: ReadonlyArray<number | undefined>): number | undefined => {
  const known = figures.filter((figure) => figure !== undefined)
  return known.length === 0 || known.length < figures.length
    ? undefined
    : known.reduce((sum, figure) => sum + figure, 0)
}

/** The tokens that a cache of several parts holds; undefined when a part is not known, or no cache is that large. */
export const cacheOf = (parts: ReadonlyArray<number | undefined>): number | undefined => {
  const all = sumOf(parts)
  return isCacheTokens(all) ? all : undefined
}

/** A model with what is told of how much of it there is; nothing is laid over what is there by what is not told. */
export const withTold = (
  model: Model,
  {
    cacheTokens,
    loaded,
    slots,
    slotsKeep
  }: { readonly [key in "cacheTokens" | "loaded" | "slots" | "slotsKeep"]?: Model[key] | undefined }
): Model => ({
  ...model,
  ...(slots === undefined ? {} : { slots }),
  ...(cacheTokens === undefined ? {} : { cacheTokens }),
  ...(slotsKeep === undefined ? {} : { slotsKeep }),
  ...(loaded === undefined ? {} : { loaded })
})

/** What a server works on, without what it does not tell. */
export const loadOf = (running: number | undefined, waiting: number | undefined, slots?: number): ToldLoad => ({
  ...(running === undefined ? {} : { running }),
  ...(waiting === undefined ? {} : { waiting }),
  ...(slots === undefined ? {} : { slots })
})

/** A list whose entries are looked at one by one. */
export const RawEntries = Schema.Array(Schema.Unknown)

/** Text that is JSON, parsed; None when it is not. */
export const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Decodes each entry and leaves out those that do not fit; none when there is no list. */
export const decodeEach = <A>(
  decode: (entry: unknown) => Option.Option<A>,
  entries: ReadonlyArray<unknown> | undefined
): ReadonlyArray<A> => {
  const found: Array<A> = []
  for (const entry of entries ?? []) {
    const decoded = decode(entry)
    if (Option.isSome(decoded)) found.push(decoded.value)
  }
  return found
}

/** A model of a server that loads models on demand: `now` is the context in force, in tokens, undefined while none is. */
export const onDemandModel = (
  id: string,
  now: number | undefined,
  capabilities: Capabilities,
  loaded: boolean
): Model => ({ id, capabilities, ...(now === undefined ? {} : { context_in_force: now }), loaded })

/** A model as a backend told of it; `context` and the most that it answers with in tokens, undefined when it did not say. */
export const reportedModel = (
  id: string,
  context: number | undefined,
  capabilities: Capabilities,
  mostOutput?: number
): Model => ({
  id,
  capabilities,
  ...(context === undefined ? {} : { context_length: context }),
  ...(mostOutput === undefined ? {} : { max_output_tokens: mostOutput })
})
