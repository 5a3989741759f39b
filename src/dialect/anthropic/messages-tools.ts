/**
 * The tools of a request as Anthropic takes them: no union at the top of what they take, and no more of them that a model is
 * held to than it can be.
 */
import * as Predicate from "effect/Predicate"
import type { ChatTool } from "../chat.ts"
import { type Fields, markOf } from "./messages-content.ts"
import { isFlattened, propertiesOf, topObject } from "../tool-schema.ts"
import { heldForm } from "./messages-form.ts"
import { objectsIn } from "../read-json.ts"

/** What holding a model to schemas takes of what all of a request may take: tools, properties that may be absent, unions. */
interface Strictness {
  readonly tools: number
  readonly optional: number
  readonly unions: number
}

// By its documentation.
const mostStrict: Strictness = { tools: 20, optional: 24, unions: 16 }

const isUnion = ({ anyOf, type }: Fields): boolean => anyOf !== undefined || Array.isArray(type)

/** What one schema takes, with all that is in it. */
const strictnessOf = (schema: Fields): Omit<Strictness, "tools"> => {
  const properties = Object.entries(propertiesOf(schema))
  const required = new Set(Array.isArray(schema["required"]) ? schema["required"] : [])
  const { $defs, anyOf, definitions, items } = schema
  const named = [$defs, definitions].flatMap((each) => (Predicate.isObject(each) ? Object.values(each) : []))
  const within = objectsIn([...properties.map(([, each]) => each), ...named, ...objectsIn(anyOf), items])
  let optional = properties.filter(([name]) => !required.has(name)).length
  let unions = isUnion(schema) ? 1 : 0
  for (const each of within) {
    const inner = strictnessOf(each)
    optional += inner.optional
    unions += inner.unions
  }
  return { optional, unions }
}

const sum = (one: Strictness, other: Strictness): Strictness => ({
  tools: one.tools + other.tools,
  optional: one.optional + other.optional,
  unions: one.unions + other.unions
})

const isWithin = ({ optional, tools, unions }: Strictness): boolean =>
  tools <= mostStrict.tools && optional <= mostStrict.optional && unions <= mostStrict.unions

/** The schema that a model can be held to; undefined where it would be held to less than what a tool takes. */
const heldSchema = (schema: Fields): Fields | undefined => {
  const form = heldForm(schema)
  return form === undefined || form.loose ? undefined : form.schema
}

/** Tools as they are told: of those that a model is to be held to as many as it can be, the others without that. */
export const heldTools = (tools: ReadonlyArray<ChatTool>): ReadonlyArray<Fields> => {
  let taken: Strictness = { tools: 0, optional: 0, unions: 0 }
  return tools.map(({ description, name, schema, strict, ...rest }): Fields => {
    const whole = topObject(schema)
    const held = strict === true && !isFlattened({ schema }) ? heldSchema(whole) : undefined
    const after = held === undefined ? taken : sum(taken, { tools: 1, ...strictnessOf(held) })
    const holds = held !== undefined && isWithin(after)
    if (holds) taken = after
    return {
      name,
      ...(description === undefined ? {} : { description }),
      input_schema: holds ? held : whole,
      ...(holds ? { strict: true } : {}),
      ...markOf(rest)
    }
  })
}
