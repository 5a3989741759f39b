/**
 * Which schemas OpenAI holds a model to, and those who hold to the same: every object closed, each of its properties there.
 */
import * as Predicate from "effect/Predicate"
import { propertiesOf } from "../tool-schema.ts"
import { objectsIn } from "../read-json.ts"

type Schema = Readonly<Record<string, unknown>>

// A strict schema with one of these is refused.
const refused: ReadonlySet<string> = new Set(
  (
    "allOf oneOf not if then else default patternProperties propertyNames unevaluatedProperties unevaluatedItems " +
    "dependentRequired dependentSchemas minProperties maxProperties uniqueItems contains minContains maxContains prefixItems"
  ).split(" ")
)

const typed = ["type", "anyOf", "enum", "const", "$ref"] as const

const isOfType = ({ type }: Schema, name: string): boolean =>
  type === name || (Array.isArray(type) && type.includes(name))

const isWhole = (schema: Schema): boolean => {
  const { additionalProperties: more, required } = schema
  const names = new Set<unknown>(Array.isArray(required) ? required : [])
  return more === false && Object.keys(propertiesOf(schema)).every((name) => names.has(name))
}

/** Whether a model can be held to a schema, with all that is in it. */
const isHeld = (schema: unknown): boolean => {
  if (!Predicate.isObject(schema)) return false
  const { $defs, anyOf, definitions, items } = schema
  if (Object.keys(schema).some((name) => refused.has(name)) || !typed.some((name) => name in schema)) return false
  if ((isOfType(schema, "object") || "properties" in schema) && !isWhole(schema)) return false
  const named = [$defs, definitions].flatMap((each) => (Predicate.isObject(each) ? Object.values(each) : []))
  const within = [...Object.values(propertiesOf(schema)), ...named, ...objectsIn(anyOf)]
  return within.every(isHeld) && (items === undefined || isHeld(items))
}

/** Whether a schema may be called strict; one that is nested too deeply to be gone through may not. */
export const mayBeStrict = (schema: unknown): boolean => {
  try {
    return Predicate.isObject(schema) && schema["type"] === "object" && isHeld(schema)
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}
