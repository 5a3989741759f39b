/**
 * Thoughts with what they are signed with, as OpenRouter tells of them, and takes them back: a piece for each text of one,
 * the last of which may be its signature alone.
 */
import * as Predicate from "effect/Predicate"
import {
  sealedBlock,
  sealedDetail,
  sealedHidden,
  unsealedBlock,
  unsealedDetail,
  unsealedHidden
} from "../signatures.ts"

type Fields = Readonly<Record<string, unknown>>

const isWord = (value: unknown): value is string => typeof value === "string" && value !== ""

// Whoever else signs thoughts has another form for it.
const ours = "anthropic-claude-v1"
const ofAnthropic = /^anthropic/

/** Whether a format is one that Anthropic signs in. */
export const isOfAnthropic = (format: unknown): boolean => typeof format === "string" && ofAnthropic.test(format)

/** A thought, or a piece of one; one that is hidden has no text. */
export const thoughtDetail = (index: number, more: { readonly text?: string; readonly signature?: string }): Fields => {
  const data = more.signature === undefined ? undefined : unsealedHidden(more.signature)
  return data === undefined
    ? { type: "reasoning.text", ...more, format: ours, index }
    : { type: "reasoning.encrypted", data, format: ours, index }
}

/** The same of the blocks that LiteLLM tells of, in the form of Anthropic's; undefined where it tells of none. */
export const detailsOfBlocks = ({
  provider_specific_fields: own,
  thinking_blocks: blocks
}: Readonly<Record<PropertyKey, unknown>>): ReadonlyArray<Fields> | undefined => {
  const told = Array.isArray(blocks) ? blocks : Predicate.isObject(own) ? own["thinking_blocks"] : undefined
  if (!Array.isArray(told)) return undefined
  return told.filter(Predicate.isObject).map(({ data, signature, thinking: text }, index) => {
    if (isWord(data)) return { type: "reasoning.encrypted", data, format: ours, index }
    const signed = isWord(signature) ? { signature: sealedBlock(signature) } : {}
    return thoughtDetail(index, { ...(isWord(text) ? { text } : {}), ...signed })
  })
}

/** Thoughts as LiteLLM takes them back, where it has told of them; none where it has not. */
export const blocksOf = (
  thoughts: ReadonlyArray<{ readonly text: string; readonly signature?: string | undefined }>
): ReadonlyArray<Fields> => {
  const isTold = thoughts.some(({ signature }) => signature !== undefined && unsealedBlock(signature) !== undefined)
  return !isTold
    ? []
    : thoughts.flatMap(({ signature = "", text }): ReadonlyArray<Fields> => {
        const own = unsealedBlock(signature)
        if (own !== undefined) return [{ type: "thinking", thinking: text, signature: own }]
        const { data, format } = unsealedDetail(signature) ?? {}
        return isWord(data) && isOfAnthropic(format) ? [{ type: "redacted_thinking", data }] : []
      })
}

/** What a client brings back of a thought that Anthropic keeps hidden, as a signature; undefined where it is none. */
export const hiddenSignature = ({ data, format, type }: Readonly<Record<PropertyKey, unknown>>): string | undefined =>
  type === "reasoning.encrypted" && isWord(data) && isOfAnthropic(format) ? sealedHidden(data) : undefined

// What Google signs a call with is told as if it were a thought of its own, by the id of the call.
const ofGoogle = "google-gemini-v1"
const isOfGoogle = (format: unknown): boolean => typeof format === "string" && format.startsWith("google")

/** What calls are signed with, by their ids. */
export const callSignatures = (details: unknown): ReadonlyArray<readonly [id: string, signature: string]> =>
  (Array.isArray(details) ? details : []).flatMap((each: unknown) => {
    const { data, format, id } = Predicate.isObject(each) ? each : {}
    return isOfGoogle(format) && isWord(id) && isWord(data) ? [[id, data]] : []
  })

/** What a call is signed with. */
export const callDetail = (index: number, id: string, data: string): Fields => ({
  type: "reasoning.encrypted",
  data,
  id,
  format: ofGoogle,
  index
})

/** A thought before calls that Google has signed. */
export const thoughtOfGoogle = (index: number, text: string): Fields => ({
  type: "reasoning.text",
  text,
  format: ofGoogle,
  index
})

// Thoughts that are kept hidden: whoever has hidden them wants them back as they came. What signs a call is none of them.
const isHidden = ({ data, format, id, type }: Fields): boolean =>
  type === "reasoning.encrypted" && isWord(data) && !(isOfGoogle(format) && isWord(id))

/** A thought with what was hidden of it, as they were told; undefined where nothing was. */
export const hiddenDetails = (text: string, signature: string | undefined): ReadonlyArray<Fields> | undefined => {
  const hidden = signature === undefined ? undefined : unsealedDetail(signature)
  if (hidden === undefined) return undefined
  const { format, index } = hidden
  return [...(text === "" ? [] : [{ type: "reasoning.summary", summary: text, format, index }]), { ...hidden }]
}

/** What somebody thought, or what Anthropic has signed the thoughts before it with. */
type Thought =
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "signature"; readonly signature: string }

/** The thoughts that are told of, each with what Anthropic has signed it with; `plain` where their texts are told beside them. */
export const toldThoughts = (details: unknown, plain: string): ReadonlyArray<Thought> => {
  const told: Array<Thought> = []
  for (const each of Array.isArray(details) ? details : []) {
    if (!Predicate.isObject(each)) continue
    const { format, signature, summary } = each
    const text = isWord(each["text"]) ? each["text"] : summary
    if (isWord(text)) told.push({ type: "reasoning", text })
    if (isOfAnthropic(format) && isWord(signature)) told.push({ type: "signature", signature })
    if (isHidden(each)) told.push({ type: "signature", signature: sealedDetail(each) })
  }
  const signatures = told.filter(({ type }) => type === "signature")
  const isWhole = signatures.length < told.length && (signatures.length > 0 || plain === "")
  if (isWhole) return told
  return plain === "" ? signatures : [{ type: "reasoning", text: plain }, ...signatures]
}
