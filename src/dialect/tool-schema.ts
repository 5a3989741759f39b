/**
 * What tools take, as the services that look at it want it: an object at its top that says its properties, and no union.
 */
import * as Predicate from "effect/Predicate"
import type { ChatTool } from "./chat.ts"
import { objectsIn } from "./read-json.ts"

type Schema = Readonly<Record<string, unknown>>

const unions = ["anyOf", "oneOf", "allOf"] as const

/** What an object may hold, by its schema. */
export const propertiesOf = ({ properties }: Schema): Schema => (Predicate.isObject(properties) ? properties : {})

const hasUnion = (schema: Schema): boolean => unions.some((name) => name in schema)

/** A schema whose top is an object; one that says nothing of its properties has none, where no other part of it may have some. */
export const typedObject = (schema: unknown): Schema => {
  if (!Predicate.isObject(schema)) return { type: "object", properties: {} }
  const typed = schema["type"] === "object" ? schema : { ...schema, type: "object" }
  const isSaid = Predicate.isObject(schema["properties"]) || "$ref" in schema || hasUnion(schema)
  return isSaid ? typed : { ...typed, properties: {} }
}

/** The same without a union at its top; what it says of all branches stays. */
export const topObject = (schema: unknown): Schema => {
  const typed = typedObject(schema)
  if (!hasUnion(typed)) return typed
  const branches = unions.flatMap((name) => objectsIn(typed[name]))
  const kept = Object.fromEntries(Object.entries(typed).filter(([name]) => !unions.some((union) => union === name)))
  return { ...kept, properties: Object.assign({}, ...branches.map(propertiesOf), propertiesOf(typed)) }
}

/** Whether of what a tool takes the union at its top is not told where there may be none. */
export const isFlattened = ({ schema }: Pick<ChatTool, "schema">): boolean =>
  Predicate.isObject(schema) && hasUnion(schema)
