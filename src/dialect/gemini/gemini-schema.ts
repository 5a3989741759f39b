/**
 * Google's `Schema`, a dialect of OpenAPI's, as JSON Schema.
 */
import * as Predicate from "effect/Predicate"
import type { JsonObject } from "../request-notes.ts"
import { spelled } from "./gemini-fields.ts"

// They are 64-bit numbers, which Google's JSON writes as texts.
const counts: ReadonlySet<string> = new Set([
  "minItems",
  "maxItems",
  "minLength",
  "maxLength",
  "minProperties",
  "maxProperties",
  "minimum",
  "maximum"
])

const ofSchemas: ReadonlySet<string> = new Set(["anyOf", "oneOf", "allOf", "prefixItems"])

const ofNamed: ReadonlySet<string> = new Set(["properties", "$defs", "defs", "definitions"])

const ofOne: ReadonlySet<string> = new Set(["items", "additionalProperties"])

// What only its makers go by.
const left: ReadonlySet<string> = new Set(["propertyOrdering", "example", "nullable"])

const isNumeric = (type: unknown): boolean => type === "integer" || type === "number"

const numberOf = (value: unknown): unknown =>
  typeof value === "string" && /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value

// Vertex AI's older libraries write the words of an enumeration as their numbers.
const numbered = ["", "string", "number", "integer", "boolean", "array", "object", "null"] as const

const typeOf = (type: unknown): unknown => {
  if (Array.isArray(type)) return type.map(typeOf)
  if (typeof type === "number") return numbered[type]
  return typeof type === "string" ? type.toLowerCase() : type
}

const orNull = (schema: Record<string, unknown>): Record<string, unknown> => {
  const { anyOf, enum: values, type } = schema
  const also = typeof type === "string" ? { type: [type, "null"] } : {}
  const oneOf = type === undefined && Array.isArray(anyOf) ? { anyOf: [...anyOf, { type: "null" }] } : {}
  const listed = Array.isArray(values) && !values.includes(null) ? { enum: [...values, null] } : {}
  return { ...schema, ...also, ...oneOf, ...listed }
}

/** What an object holds, in the order that is asked for. */
const ordered = (properties: JsonObject, order: unknown): JsonObject => {
  if (!Array.isArray(order)) return properties
  const first = order.filter((name): name is string => typeof name === "string" && Object.hasOwn(properties, name))
  return { ...Object.fromEntries(first.map((name) => [name, properties[name]])), ...properties }
}

const schemaOf = (given: JsonObject): Record<string, unknown> => {
  const schema = spelled(given)
  const made: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(schema)) {
    if (left.has(name) || value === null || value === undefined) continue
    if (name === "type") {
      if (value !== "TYPE_UNSPECIFIED" && value !== 0) made[name] = typeOf(value)
    } else if (name === "format" && value === "enum") continue
    else if (counts.has(name)) made[name] = numberOf(value)
    else if (ofSchemas.has(name) && Array.isArray(value)) made[name] = value.map(jsonSchemaOf)
    else if (ofOne.has(name)) made[name] = jsonSchemaOf(value)
    else if (ofNamed.has(name) && Predicate.isObject(value)) {
      const held = name === "properties" ? ordered(value, schema["propertyOrdering"]) : value
      made[name === "defs" ? "$defs" : name] = Object.fromEntries(
        Object.entries(held).map(([each, inner]) => [each, jsonSchemaOf(inner)])
      )
    } else made[name] = value
  }
  const { enum: values, type } = made
  if (isNumeric(type) && Array.isArray(values)) made["enum"] = values.map(numberOf)
  return schema["nullable"] === true ? orNull(made) : made
}

const isWord = (value: unknown): boolean => typeof value === "string" || typeof value === "number"

// What holds no schemas, whatever it holds.
const values: ReadonlySet<string> = new Set(["enum", "default", "examples", "required"])

const changed = (object: JsonObject, change: (name: string, value: unknown) => unknown): JsonObject => {
  let made: Record<string, unknown> | undefined
  for (const [name, value] of Object.entries(object)) {
    const told = change(name, value)
    if (told !== value) made = { ...(made ?? object), [name]: told }
  }
  return made ?? object
}

/**
 * A JSON Schema as Google's models take it, which are held to no `const`: what stands there is the only one of an
 * enumeration. The very same where there is none.
 */
export const schemaForGoogle = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    const all = value.map(schemaForGoogle)
    return all.some((each, at) => each !== value[at]) ? all : value
  }
  if (!Predicate.isObject(value) || JSON.isRawJSON(value)) return value
  const within = changed(value, (name, each) => {
    if (values.has(name)) return each
    // Names that are the client's own.
    if (ofNamed.has(name) && Predicate.isObject(each)) return changed(each, (_, inner) => schemaForGoogle(inner))
    return schemaForGoogle(each)
  })
  const { const: only, ...rest } = within
  return isWord(only) && rest["enum"] === undefined ? { ...rest, enum: [only] } : within
}

/** A schema in JSON Schema's words: types in small letters, counts as numbers. */
export const jsonSchemaOf = (value: unknown): unknown => (Predicate.isObject(value) ? schemaOf(value) : value)
