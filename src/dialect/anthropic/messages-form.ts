/**
 * The form of an answer as Anthropic holds a model to it: a part of JSON Schema, every object closed. What else a schema says
 * goes to the model in its descriptions, as Anthropic's own clients have it.
 */
import * as Predicate from "effect/Predicate"

type Schema = Readonly<Record<PropertyKey, unknown>>

/** A schema that can be held to, and whether it said more. */
export interface HeldForm {
  readonly schema: Readonly<Record<string, unknown>>
  readonly loose: boolean
}

// Said as it is.
const kept: ReadonlySet<string> = new Set(["type", "title", "description", "enum", "const", "default", "required"])

// Says nothing of the value.
const silent: ReadonlySet<string> = new Set([
  "$schema",
  "$id",
  "$comment",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly"
])

const formats: ReadonlySet<unknown> = new Set(
  "date-time time date duration email hostname uri ipv4 ipv6 uuid".split(" ")
)

const local = /^#\/(?:\$defs|definitions)\/[^/]+$/

class CannotHold extends Error {}

const cannot = (): never => {
  throw new CannotHold()
}

const isPlain = (value: unknown): boolean => typeof value !== "object" || value === null || JSON.isRawJSON(value)

const isTyped = (schema: Schema): boolean =>
  ["type", "enum", "const", "anyOf", "oneOf", "properties"].some((name) => name in schema)

const isAbout = (name: string): boolean => name === "title" || name === "description"

/** What a lone branch of `allOf` says together with what stands beside it; undefined where both speak of the same. */
const joined = ({ allOf, ...beside }: Schema): Schema | undefined => {
  const only: unknown = Array.isArray(allOf) && allOf.length === 1 ? allOf[0] : undefined
  if (!Predicate.isObject(only) || ("$ref" in only && isTyped(beside))) return undefined
  const isSaidTwice = Object.keys(only).some((name) => name in beside && !isAbout(name))
  return isSaidTwice ? undefined : { ...only, ...beside }
}

const isOfType = ({ type }: Schema, name: string): boolean =>
  type === name || (Array.isArray(type) && type.includes(name))

/** Goes through one schema. */
class Holding {
  loose = false

  held(value: unknown): Record<string, unknown> {
    if (!Predicate.isObject(value)) return cannot()
    const whole = joined(value)
    if (whole !== undefined) return this.held(whole)
    const { $ref: ref } = value
    if (ref !== undefined && typeof ref === "string" && local.test(ref)) return this.refers(value, ref)
    if (ref !== undefined || !isTyped(value)) return cannot()
    const made: Record<string, unknown> = {}
    const rest: Record<string, unknown> = {}
    for (const [name, each] of Object.entries(value)) {
      if (!silent.has(name) && !this.says(made, name, each)) rest[name] = each
    }
    if (isOfType(value, "object") || "properties" in value) this.close(value, made, rest)
    if (Object.keys(rest).length === 0) return made
    this.loose = true
    const { description } = value
    const said = Object.entries(rest).map(([name, each]) => `${name}: ${JSON.stringify(each)}`)
    const about = typeof description === "string" && description !== "" ? `${description}\n\n` : ""
    return { ...made, description: `${about}{${said.join(", ")}}` }
  }

  // Nothing may stand beside it but what it refers to.
  private refers(schema: Schema, $ref: string): Record<string, unknown> {
    const beside = Object.keys(schema).filter((name) => name !== "$ref" && name !== "$defs" && name !== "definitions")
    if (beside.some((name) => !isAbout(name) && !silent.has(name))) this.loose = true
    const made: Record<string, unknown> = { $ref }
    for (const name of ["$defs", "definitions"]) if (name in schema) this.says(made, name, schema[name])
    return made
  }

  /** Takes over what can be said as it is; whether it could. */
  private says(made: Record<string, unknown>, name: string, value: unknown): boolean {
    if (name === "anyOf" || name === "oneOf") {
      if (!Array.isArray(value) || "anyOf" in made) return cannot()
      made["anyOf"] = value.map((each) => this.held(each))
      return true
    }
    if (name === "$defs" || name === "definitions") {
      if (!Predicate.isObject(value)) return cannot()
      made[name] = Object.fromEntries(Object.entries(value).map(([own, each]) => [own, this.held(each)]))
      return true
    }
    if (name === "items" && !Array.isArray(value)) made[name] = this.held(value)
    else if (name === "enum" && Array.isArray(value) && !value.every(isPlain)) return false
    else if (name === "const" && !isPlain(value)) return false
    else if (kept.has(name)) made[name] = value
    else if (name === "format" && formats.has(value)) made[name] = value
    else if (name === "minItems" && (value === 0 || value === 1)) made[name] = value
    else return name === "properties" || name === "additionalProperties"
    return true
  }

  private close(schema: Schema, made: Record<string, unknown>, rest: object): void {
    const { additionalProperties: more, properties, required } = schema
    const named = Predicate.isObject(properties) ? Object.entries(properties) : []
    const names = new Set<unknown>(named.map(([name]) => name))
    const isMap = more !== false && (named.length === 0 || Predicate.isObject(more))
    const wantsMore = Array.isArray(required) && !required.every((name) => names.has(name))
    // What may have any names cannot be closed, nor what has more of them in branches, or wants more.
    if (isMap || wantsMore || "patternProperties" in rest || "allOf" in rest || "anyOf" in made) cannot()
    if (more === true) this.loose = true
    made["type"] ??= "object"
    made["properties"] = Object.fromEntries(named.map(([name, each]) => [name, this.held(each)]))
    made["additionalProperties"] = false
  }
}

const definitionsIn = (schema: Schema): Readonly<Record<string, unknown>> => {
  const found: Record<string, unknown> = {}
  for (const place of ["$defs", "definitions"]) {
    const all = schema[place]
    if (!Predicate.isObject(all)) continue
    for (const [name, each] of Object.entries(all)) found[`#/${place}/${name}`] = each
  }
  return found
}

const refsIn = (value: unknown, found: Set<string>): Set<string> => {
  if (typeof value !== "object" || value === null) return found
  for (const [name, each] of Object.entries(value)) {
    if (name === "$ref" && typeof each === "string") found.add(each)
    else if (name !== "$defs" && name !== "definitions") refsIn(each, found)
  }
  return found
}

// A definition within itself, or one that is not there.
const isBroken = (schema: Schema): boolean => {
  const definitions = definitionsIn(schema)
  const whole = new Set<string>()
  const within = new Set<string>()
  const breaks = (ref: string): boolean => {
    if (whole.has(ref)) return false
    if (within.has(ref) || !Object.hasOwn(definitions, ref)) return true
    within.add(ref)
    const isIll = [...refsIn(definitions[ref], new Set())].some(breaks)
    within.delete(ref)
    whole.add(ref)
    return isIll
  }
  return [...refsIn(schema, new Set())].some(breaks)
}

/** A schema that a model can be held to; undefined where there is none that says what this one says. */
export const heldForm = (schema: unknown): HeldForm | undefined => {
  if (!Predicate.isObject(schema)) return undefined
  const holding = new Holding()
  try {
    if (isBroken(schema)) return undefined
    const made = holding.held(schema)
    return { schema: made, loose: holding.loose }
  } catch (error) {
    // The latter where it is nested more deeply than can be gone through.
    if (error instanceof CannotHold || error instanceof RangeError) return undefined
    throw error
  }
}
