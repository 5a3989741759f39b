/**
 * Thoughts with what they are signed with, as OpenRouter tells of them, and takes them back: a piece for each text of one,
 * the last of which may be its signature alone.
 */
import * as Predicate from "effect/Predicate"

type Fields = Readonly<Record<string, unknown>>

// Whoever else signs thoughts has another form for it.
const ours = "anthropic-claude-v1"
const ofAnthropic = /^anthropic/

/** Whether a format is one that Anthropic signs in. */
export const isOfAnthropic = (format: unknown): boolean => typeof format === "string" && ofAnthropic.test(format)

/** A thought, or a piece of one. */
export const thoughtDetail = (
  index: number,
  more: { readonly text?: string; readonly signature?: string }
): Fields => ({
  type: "reasoning.text",
  ...more,
  format: ours,
  index
})

/** What Anthropic has signed the thoughts with that are told of. */
export const signaturesIn = (details: unknown): ReadonlyArray<string> =>
  (Array.isArray(details) ? details : []).flatMap((each: unknown) => {
    if (!Predicate.isObject(each) || !isOfAnthropic(each["format"])) return []
    const { signature } = each
    return typeof signature === "string" && signature !== "" ? [signature] : []
  })
