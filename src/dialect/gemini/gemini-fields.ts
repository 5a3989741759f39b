/**
 * Fields of Google's messages, which may be written in either spelling, and whose lists may hold one alone.
 */
import * as Predicate from "effect/Predicate"
import { type JsonObject, refuseAt } from "../request-notes.ts"

const camel = (name: string): string =>
  name.replaceAll(/(?<=.)_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())

/** The object with its fields in camel case, one level deep: what is below may be the client's own. */
export const spelled = (object: JsonObject): JsonObject => {
  for (const name in object) {
    if (name.includes("_", 1)) {
      return Object.fromEntries(Object.entries(object).map(([each, value]) => [camel(each), value]))
    }
  }
  return object
}

/** An object that may be absent. */
export const fieldsOf = (value: unknown): JsonObject => (Predicate.isObject(value) ? spelled(value) : {})

/** An object. */
export const objectAt = (value: unknown, place: string): JsonObject =>
  Predicate.isObject(value) ? spelled(value) : refuseAt(place, "must be an object")

/** A list that may be absent, or hold one thing that is no list. */
export const manyOf = (value: unknown): ReadonlyArray<unknown> => {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : [value]
}

/** The word of an enumeration; empty when there is none, or none in particular. */
export const wordOf = (value: unknown): string => {
  const word = typeof value === "string" ? value.toUpperCase() : ""
  return word.endsWith("_UNSPECIFIED") ? "" : word
}

/** Whether there is anything, and not an empty list. */
export const isGiven = (value: unknown): boolean =>
  value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0)

/** The form of the answer where it stands in the newer list of forms, as the older fields that say the same. */
export const withForms = (config: JsonObject): JsonObject => {
  const forms = manyOf(config["responseFormat"]).map(fieldsOf)
  if (forms.length === 0) return config
  const text = forms.map((form) => form["text"]).find(isGiven)
  const { mimeType, schema } = fieldsOf(text)
  const type = wordOf(mimeType)
    .replace(/^APPLICATION_/, "application/")
    .replace(/^TEXT_/, "text/")
    .toLowerCase()
  const shown = [
    ...(text === undefined ? [] : ["TEXT"]),
    ...["image", "audio", "video"].flatMap((kind) =>
      forms.some((form) => isGiven(form[kind])) ? [kind.toUpperCase()] : []
    )
  ]
  return {
    ...config,
    ...(type === "" ? {} : { responseMimeType: type }),
    ...(schema === undefined ? {} : { responseJsonSchema: schema }),
    ...(shown.some((kind) => kind !== "TEXT") ? { responseModalities: shown } : {})
  }
}
