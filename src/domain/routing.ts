/**
 * The settings the router decides by, as they are once the config has been read and checked.
 */

import type { Ability } from "./request.ts"
import type { ZoneLimit } from "./zones.ts"

/** How candidates are ordered. */
export const strategies = ["smart", "round_robin", "priority_only", "random"] as const

/** One of {@link strategies}. */
export type Strategy = (typeof strategies)[number]

/** Shares of the three parts of the smart score; only their proportions count. */
export interface Weights {
  readonly priority: number
  readonly load: number
  readonly latency: number
}

/** Days of the week, in the order of their numbers. */
export const weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const

/** When a rule holds. */
export interface RuleTime {
  /** Minutes of the day; until a smaller one is until that of the next day. */
  readonly hours?: { readonly from: number; readonly until: number }
  /** On which days it begins, by their places in {@link weekdays}. */
  readonly days?: ReadonlyArray<number>
  /** The IANA name of a time zone; that of this machine when absent. */
  readonly timezone?: string
}

/** Which requests a rule is for: those that have all of it; names are globs. */
export interface RuleMatch {
  readonly models?: ReadonlyArray<string>
  readonly keys?: ReadonlyArray<string>
  /** Names in lower case. */
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>
  readonly promptTokens?: { readonly min: number; readonly max: number }
  readonly abilities?: ReadonlyArray<Ability>
  readonly endpoints?: ReadonlyArray<string>
  readonly time?: RuleTime
}

/** Where requests go. */
export interface RuleSide {
  /** The model in place of the one that was asked for. */
  readonly model?: string
  /** Globs of the backends that may answer; any when absent. */
  readonly only?: ReadonlyArray<string>
  /** Globs of backends that may not. */
  readonly not?: ReadonlyArray<string>
}

/** What a share of requests is drawn by: their session, or their key. */
export const drawnBy = ["session", "key"] as const

/** A share of requests that goes elsewhere. */
interface Canary {
  readonly side: RuleSide
  /** From 0 to 1. */
  readonly share: number
  readonly by: (typeof drawnBy)[number]
}

/** A share of requests of which a copy goes elsewhere, for its answer to be compared. */
interface Shadowing {
  readonly side: RuleSide
  /** From 0 to 1. */
  readonly share: number
  /** Copies under way at a time. */
  readonly maxConcurrent: number
  /** Whether backends in the cloud may be asked. */
  readonly remote: boolean
}

/** An entry of the route table. */
export interface Rule {
  readonly name: string
  readonly match: RuleMatch
  readonly side: RuleSide
  readonly canary: Canary | undefined
  readonly shadow: Shadowing | undefined
  readonly strategy: Strategy | undefined
  readonly weights: Weights | undefined
  /** Where its requests may go; anywhere when absent. */
  readonly zones?: ZoneLimit
}

/** What of a request a rule may be for. */
export type MatchedPart = "model" | "key" | "headers" | "prompt_tokens" | "abilities" | "endpoint" | "time"

/** What the table made of one request. */
export interface Ruling {
  readonly rules: ReadonlyArray<Rule>
  /** The first rule that is for it. */
  readonly rule: Rule | undefined
  /** Whether it is one of the rule's canary. */
  readonly canary: boolean
  /** Whether a copy of it is to go where its rule has one. */
  readonly shadow: boolean
  /** Why the rules before that one are not for it. */
  readonly misses: ReadonlyArray<MatchedPart>
  /** What shares are drawn by: a number made of its session. */
  readonly unit: number
  readonly key: string | undefined
  /** What it says in the headers that rules look at. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** When it came, in milliseconds since 1970. */
  readonly at: number
}

/** For whom a second backend is asked when the first token is late, and how often. */
export interface HedgeSettings {
  /** Models, aliases and groups. */
  readonly models: ReadonlySet<string>
  /** The most of the requests for a model that are asked twice, 0 to 1. */
  readonly maxShare: number
  /** No first token is late before, in milliseconds. */
  readonly minWaitMs: number
  /** Whether the second one may be a cloud. */
  readonly clouds: boolean
}

/** Where requests may go, by what they are. */
export interface ZonePolicies {
  /** By globs of the names of their model: of aliases and groups on the way as well. */
  readonly models: ReadonlyArray<{ readonly glob: string; readonly limit: ZoneLimit }>
  /** Of all requests. */
  readonly all: ZoneLimit | undefined
}

/** All the router is told by the operator. */
export interface RoutingSettings {
  readonly strategy: Strategy
  /** Further attempts after the first one. */
  readonly maxRetries: number
  readonly weights: Weights
  /** Whether requests wait for a slot, so that no server is given more than it has. */
  readonly waits: boolean
  /** Whether it is looked at which server has read the beginning of a prompt before. */
  readonly affinity: boolean
  /** Headers in which clients name their conversation, the first that is there counts. */
  readonly sessionHeaders: ReadonlyArray<string>
  /** Whether servers that can be told which slot is to take a request are told so. */
  readonly pinsSlots: boolean
  /** Alias to the name it stands for, which may be an alias again (3 hops at most, no cycle: checked at load). */
  readonly aliases: ReadonlyMap<string, string>
  /** Name to the models that it stands for all together, each with `@backend` behind it where one backend alone is meant. */
  readonly groups: ReadonlyMap<string, ReadonlyArray<string>>
  /** Whether `openai/gpt-4o` is `gpt-4o` where nobody knows it by its whole name. */
  readonly stripPrefixes: boolean
  /** Whether `model:nitro` goes to who lists `model` where nobody knows it by its whole name. */
  readonly modelSuffixes: boolean
  /** Whether `/v1/models` lists aliases and groups. */
  readonly listAliases: boolean
  /** Model to the models that may answer in its place, in order; not followed further. */
  readonly fallbacks: ReadonlyMap<string, ReadonlyArray<string>>
  /** The route table; the first rule that is for a request counts. */
  readonly rules: ReadonlyArray<Rule>
  /** Absent where requests may go anywhere. */
  readonly zones?: ZonePolicies
  /** Absent where nobody is asked beside another. */
  readonly hedge?: HedgeSettings
}

/** The parts of `model@backend`; the names of some models have an @ themselves. */
export const splitModelAt = (text: string): { readonly model: string; readonly backend: string } => {
  const at = text.lastIndexOf("@")
  return { model: text.slice(0, Math.max(0, at)), backend: text.slice(at + 1) }
}
