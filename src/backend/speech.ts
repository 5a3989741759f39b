/**
 * What a kind of server speaks and how well: for each dialect whether it is there, from which version on, whether it is
 * relied on, and why not. A dialect that is there and not relied on is translated from the one that is.
 */
import type { Served, Server } from "../domain/server.ts"

/** The dialects there are. */
export const dialectIds = ["openai", "responses", "anthropic", "ollama", "gemini"] as const

/** One of {@link dialectIds}. */
export type DialectId = (typeof dialectIds)[number]

/** A question that costs nothing and by which a server shows that it has something: 405 for GET, an error for `{}`. */
export interface ShownBy {
  readonly method: "GET" | "POST"
  readonly path: string
}

interface Conditions {
  /** The version from which on it is so; of one that is older, or does not tell, `before` holds. */
  readonly since?: string
  /** That it is so of the service alone which made the dialect up; of all others `before` holds. */
  readonly ofOriginal?: true
  /** What holds where it is not so; that it is not there when absent. */
  readonly before?: Speech
  /** How a server is asked whether it has it, where servers of the kind differ. */
  readonly shownBy?: ShownBy
}

/** Requests that a server does not do though it has their dialect: they are translated. */
export interface Beyond {
  /** What they ask for. */
  readonly what: string
  /** How that is known. */
  readonly source: string
  /** Texts of which each of them has one. */
  readonly marks: ReadonlyArray<string>
  /** Whether the body of one that has such a text, which may be there by chance, asks for any of it. */
  readonly isIn: (body: Readonly<Record<PropertyKey, unknown>>) => boolean
}

/** How a dialect, or one operation, is spoken. */
export type Speech =
  | ({ readonly level: "trusted"; readonly beyond?: Beyond } & Conditions)
  | ({
      readonly level: "distrusted"
      /** What goes wrong. */
      readonly why: string
      /** How that is known. */
      readonly source: string
    } & Conditions)
  | { readonly level: "absent" }

/** All that a kind of server speaks. */
export interface Speaking {
  /** What it is asked in for those whose dialect it does not speak, or not well. */
  readonly main: DialectId
  readonly dialects: Readonly<Record<DialectId, Speech>>
  /** Operations that it does otherwise than the rest of their dialect, by their names. */
  readonly operations?: Readonly<Record<string, Speech>>
}

/** It is not there. */
export const absent = { level: "absent" } as const satisfies Speech

/** It is there, and relied on. */
export const trusted = { level: "trusted" } as const satisfies Speech

/** A dialect that is said to be there, and that nobody has tried. */
export const untried = (source: string, path?: string): Speech => ({
  level: "distrusted",
  why: "nobody has tried how well",
  source,
  ...(path === undefined ? {} : { shownBy: { method: "GET", path } })
})

/** That a kind speaks one dialect well and no other, but for what is told beside it. */
export const speaking = (
  main: DialectId,
  others: Partial<Speaking["dialects"]> = {},
  operations?: Speaking["operations"]
): Speaking => ({
  main,
  dialects: {
    openai: absent,
    responses: absent,
    anthropic: absent,
    ollama: absent,
    gemini: absent,
    ...others,
    [main]: trusted
  },
  ...(operations === undefined ? {} : { operations })
})

/** When a backend is asked in its client's own dialect, beside its main one. */
export const nativeRules = ["trusted", "always", "never"] as const

/** What is asked of a backend, by the dialect and its own name. */
export interface Spoken {
  readonly dialect: string
  readonly operation: string
}

/** A backend, as far as it counts here. */
export interface Speaker {
  readonly speaking: Speaking
  readonly native: Server["native"]
  /** Whether it is the service that made its dialect up. */
  readonly original: boolean
  /** What it has shown of itself; undefined before it was asked. */
  readonly served: Served | undefined
}

const numbersIn = (version: string): ReadonlyArray<number> => (version.match(/\d+/g) ?? []).map(Number)

/** Whether a version is as new as another, by the numbers in it. */
export const isAtLeast = (version: string, least: string): boolean => {
  const has = numbersIn(version)
  for (const [at, wanted] of numbersIn(least).entries()) {
    const own = has[at] ?? 0
    if (own !== wanted) return own > wanted
  }
  return true
}

const ids: ReadonlySet<string> = new Set(dialectIds)

const isDialect = (dialect: string): dialect is DialectId => ids.has(dialect)

const entryFor = ({ dialects, operations }: Speaking, { dialect, operation }: Spoken): Speech => {
  const own = operations !== undefined && Object.hasOwn(operations, operation) ? operations[operation] : undefined
  return own ?? (isDialect(dialect) ? dialects[dialect] : absent)
}

/** What holds of one server, as far as it has shown itself. */
export const speechOf = (speaker: Omit<Speaker, "native">, spoken: Spoken): Speech => {
  const { original, served, speaking } = speaker
  let speech: Speech = entryFor(speaking, spoken)
  for (;;) {
    if (speech.level === "absent") return absent
    const { before = absent, ofOriginal, shownBy, since } = speech
    const old = since !== undefined && (served?.version === undefined || !isAtLeast(served.version, since))
    if (!old && (ofOriginal !== true || original)) {
      return shownBy === undefined || served?.paths[shownBy.path] === true ? speech : absent
    }
    speech = before
  }
}

const isNamed = (native: Server["native"], dialect: string): boolean =>
  Array.isArray(native) && native.includes(dialect)

/** Whether an operation is of the main dialect, and done as all of it. */
export const isMain = ({ main, operations }: Speaking, dialect: string, operation: string): boolean =>
  dialect === main && (operations === undefined || !Object.hasOwn(operations, operation))

/**
 * Whether a backend is asked in its client's own dialect: in its main one always, in another where it is relied on, or
 * as its setting has it.
 */
export const isNative = (speaker: Speaker, spoken: Spoken): boolean => {
  const { native = "trusted", speaking } = speaker
  // One that no kind tells of is translated by nobody.
  if (!isDialect(spoken.dialect)) return true
  if (isMain(speaking, spoken.dialect, spoken.operation)) return true
  if (native === "never") return false
  const { level } = speechOf(speaker, spoken)
  return level === "trusted" || (level === "distrusted" && (native === "always" || isNamed(native, spoken.dialect)))
}

/** What is beyond one that is asked in its client's own dialect; undefined where nothing is, or settings have it so asked. */
export const beyondOf = (speaker: Speaker, spoken: Spoken): Beyond | undefined => {
  const { native = "trusted" } = speaker
  if (native === "always" || isNamed(native, spoken.dialect)) return undefined
  const speech = speechOf(speaker, spoken)
  return speech.level === "trusted" ? speech.beyond : undefined
}

/** What a request is translated for that is beyond a server, in words. */
export const translatedFor = ({ what }: Beyond): string => `translated for ${what}`

/** The dialects that it may be asked in for clients of others, its main one first. */
export const askedIn = (speaker: Omit<Speaker, "native">): ReadonlyArray<DialectId> => {
  const { main } = speaker.speaking
  return [
    main,
    ...dialectIds.filter(
      (dialect) => dialect !== main && speechOf(speaker, { dialect, operation: "" }).level === "trusted"
    )
  ]
}

/** How a backend is asked in one dialect, or for one operation, and why. */
export interface SpokenRow {
  readonly name: string
  readonly native: boolean
  /** Why it is not relied on; empty where it is, or is not there. */
  readonly reason: string
  /** How that is known. */
  readonly source: string
}

/** All that a backend has shown to speak, or is known to. */
export const spokenRows = (speaker: Speaker): ReadonlyArray<SpokenRow> => {
  const { dialects, main, operations = {} } = speaker.speaking
  const rowOf = (name: string, entry: Speech, spoken: Spoken): ReadonlyArray<SpokenRow> => {
    if (entry.level === "absent") return []
    const native = isNative(speaker, spoken)
    const found = speechOf(speaker, spoken)
    // What was not asked, since nothing depends on it, is told of as it may be.
    const speech = found.level === "absent" ? entry : found
    if (speech.level === "distrusted") return [{ name, native, reason: speech.why, source: speech.source }]
    const beyond = native ? beyondOf(speaker, spoken) : undefined
    if (beyond !== undefined) return [{ name, native, reason: translatedFor(beyond), source: beyond.source }]
    const reason = native || name === main ? "" : "it has not shown that it is there, or that it is new enough"
    return [{ name, native, reason, source: "" }]
  }
  return [
    ...dialectIds.flatMap((dialect) => rowOf(dialect, dialects[dialect], { dialect, operation: "" })),
    ...Object.entries(operations).flatMap(([operation, entry]) => rowOf(operation, entry, { dialect: main, operation }))
  ]
}

const conditionsOf = (speech: Speech): ReadonlyArray<Exclude<Speech, { readonly level: "absent" }>> =>
  speech.level === "absent" ? [] : [speech, ...(speech.before === undefined ? [] : conditionsOf(speech.before))]

/** What a server is to be asked about itself: only what changes how it is asked. */
export const questionsFor = ({ native, original, speaking }: Omit<Speaker, "served">): ReadonlyArray<ShownBy> => {
  if (native === "never") return []
  const { dialects, operations = {} } = speaking
  const asked = new Map<string, ShownBy>()
  for (const [name, speech] of [...Object.entries(dialects), ...Object.entries(operations)]) {
    for (const { level, ofOriginal, shownBy } of conditionsOf(speech)) {
      if (shownBy === undefined || (ofOriginal === true && !original)) continue
      if (level === "trusted" || native === "always" || isNamed(native, name)) asked.set(shownBy.path, shownBy)
    }
  }
  return [...asked.values()]
}

/** What the answer to such a question shows. */
export const showsIt = ({ method }: ShownBy, status: number, body: unknown): boolean =>
  method === "GET"
    ? status === 405
    : status !== 404 && status !== 405 && status !== 501 && status >= 400 && typeof body === "object" && body !== null
