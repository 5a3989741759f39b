/**
 * Telling kinds of servers apart by what they answer.
 */
import { type BackendType, backendTypes, kindNamed, typeWhere } from "./all.ts"
import type { Fingerprint } from "./Kind.ts"
import { readEntries } from "./openai-like.ts"
import type { ParsedAnswer } from "./talk.ts"

const ownersIn = (list: ParsedAnswer): ReadonlyArray<string> =>
  (readEntries(list.body) ?? []).flatMap(({ owned_by: owner }) => (owner === undefined ? [] : [owner]))

const serverOf = ({ headers }: ParsedAnswer): string => (headers.get("server") ?? "").toLowerCase()

/** Whether the answer comes from a Nexus: one must never become a backend of another, or of itself, by itself. */
export const isNexus = (answer: ParsedAnswer): boolean =>
  [...answer.headers.keys()].some((name) => name.startsWith("x-nexus-")) ||
  serverOf(answer).startsWith("nexus") ||
  ownersIn(answer).includes("nexus")

/** The kind that the answer of `/v1/models` alone gives away. */
export const typeOfList = (list: ParsedAnswer): BackendType | undefined => {
  const server = serverOf(list)
  const named = typeWhere(
    ({ fingerprint }) => fingerprint?.header !== undefined && server.startsWith(fingerprint.header)
  )
  if (named !== undefined) return named
  for (const owner of ownersIn(list)) {
    const owning = typeWhere(({ fingerprint }) => fingerprint?.owner === owner)
    if (owning !== undefined) return owning
  }
  return undefined
}

/** The questions that tell a kind when the list of models does not, in order. */
export const fingerprintQuestions: ReadonlyArray<
  NonNullable<Fingerprint["question"]> & { readonly type: BackendType }
> = backendTypes.flatMap((type) => {
  const question = kindNamed(type).fingerprint?.question
  return question === undefined ? [] : [{ ...question, type }]
})

/** Whether the answer of `/v1/models` is a list that names at least one model as OpenAI's servers do. */
export const isModelList = (list: ParsedAnswer): boolean =>
  list.status < 300 &&
  (readEntries(list.body) ?? []).some((entry) => entry.object === "model" || entry.owned_by !== undefined)

/** Whether the body of an error says, in the words of any kind, that the model is still being loaded. */
export const isLoading = (body: unknown): boolean => typeWhere((kind) => kind.isLoading?.(body) === true) !== undefined
