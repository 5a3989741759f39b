/**
 * What a model thinks where it stands among the parts of a content, as Mistral and Databricks write it, and clients that keep
 * what other APIs have told them.
 */
import * as Predicate from "effect/Predicate"

type Fields = Readonly<Record<PropertyKey, unknown>>

/** Whether a part is one that holds thoughts. */
export const isThinkingPart = (part: unknown): part is Fields =>
  Predicate.isObject(part) && (part["type"] === "thinking" || part["type"] === "reasoning")

/** The words of such a part: a text, or a list of them. */
export const thinkingIn = ({ summary, text, thinking = summary ?? text }: Fields): string => {
  if (typeof thinking === "string") return thinking
  if (!Array.isArray(thinking)) return ""
  const texts = thinking.map((each: unknown) => (Predicate.isObject(each) ? each["text"] : each))
  return texts.filter((text) => typeof text === "string").join("")
}

/** All thoughts among the parts of a content. */
export const thoughtsAmong = (content: unknown): string =>
  Array.isArray(content) ? content.map((part: unknown) => (isThinkingPart(part) ? thinkingIn(part) : "")).join("") : ""
