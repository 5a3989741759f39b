/**
 * What the mock says to one request: chosen among what it was told, else made up.
 */
import type { Chat, ChatEvent, ChatUsage } from "../dialect/chat.ts"
import { matchesGlob } from "../domain/glob.ts"
import { answerTo, piecesOf, repeatedPieces, tokensOf } from "./answers.ts"
import type { MockAnswer, MockModel } from "./mock-script.ts"

/** What is answered. */
export interface MockRequest {
  readonly model: MockModel
  /** The last text of the client's, be it of a tool. */
  readonly last: string
  /** Which turn of the assistant the answer is. */
  readonly turn: number
  readonly promptTokens: number
  readonly maxTokens: number | undefined
  /** Whether what is said has to be JSON. */
  readonly json: boolean
}

const textIn = (message: Chat["messages"][number]): string => {
  if (message.role === "user") return message.parts.map((part) => (part.type === "text" ? part.text : "")).join(" ")
  return message.role === "assistant" ? "" : message.text
}

/** What a conversation has come to: its last text, and the turn that is the assistant's. */
export const turnOf = ({ messages }: Pick<Chat, "messages">): Pick<MockRequest, "last" | "turn"> => {
  const said = messages.findLast(({ role }) => role === "user" || role === "tool") ?? messages.at(-1)
  let turn = 1
  // What is said in several messages in a row is one turn.
  for (const [at, { role }] of messages.entries()) {
    if (role === "assistant" && messages[at + 1]?.role !== "assistant") turn += 1
  }
  return { last: said === undefined ? "" : textIn(said), turn }
}

/** The first answer that is for a request. */
const chosen = (answers: ReadonlyArray<MockAnswer>, { last, model, turn }: MockRequest): MockAnswer | undefined =>
  answers.find(
    (answer) =>
      (answer.model === undefined || matchesGlob(answer.model, model.name)) &&
      (answer.turn === undefined || answer.turn === turn) &&
      (answer.contains === undefined || last.includes(answer.contains))
  )

/** Events of an answer: those that are written token by token, and those that come with the last of them. */
export interface MockText {
  readonly pieces: ReadonlyArray<ChatEvent>
  readonly rest: ReadonlyArray<ChatEvent>
  readonly usage: ChatUsage
}

const calledPieces = (calls: NonNullable<MockAnswer["calls"]>): ReadonlyArray<ChatEvent> =>
  calls.flatMap(({ arguments: given = {}, name }, call): ReadonlyArray<ChatEvent> => [
    { type: "call", call, id: undefined, name },
    ...piecesOf(JSON.stringify(given)).map((text) => ({ type: "arguments", call, text }) as const)
  ])

/** Whether an event holds tokens. */
export const isPiece = ({ type }: ChatEvent): boolean => type === "text" || type === "reasoning" || type === "arguments"

/** What is said by whom nobody has told anything. */
const madeUp = (server: string, { json, last, model }: MockRequest): ReadonlyArray<string> => {
  const text = answerTo(server, model.name, last)
  if (json) return piecesOf(JSON.stringify({ answer: text }))
  return model.answer_tokens === undefined ? piecesOf(text) : repeatedPieces(text, model.answer_tokens)
}

/** What is said. */
export const saidTo = (server: string, answers: ReadonlyArray<MockAnswer>, asked: MockRequest): MockText => {
  const answer = chosen(answers, asked)
  const thoughts = piecesOf(answer?.reasoning ?? "").map((text) => ({ type: "reasoning", text }) as const)
  const texts = answer === undefined ? madeUp(server, asked) : piecesOf(answer.text ?? "")
  const all: ReadonlyArray<ChatEvent> = [
    ...thoughts,
    ...texts.map((text) => ({ type: "text", text }) as const),
    ...calledPieces(answer?.calls ?? [])
  ]
  const most = asked.maxTokens ?? Number.POSITIVE_INFINITY
  let count = 0
  const pieces = all.filter((event) => {
    if (isPiece(event)) count += 1
    return count <= most
  })
  const isCut = pieces.length < all.length
  const reason = isCut ? "length" : (answer?.calls?.length ?? 0) > 0 ? "calls" : "end"
  const usage: ChatUsage = {
    prompt: asked.promptTokens,
    cachedRead: 0,
    cachedWrite: 0,
    completion: Math.max(1, Math.min(count, most)),
    reasoning: Math.min(thoughts.length, most)
  }
  return { pieces, usage, rest: [{ type: "stop", stop: { reason } }, { type: "usage", usage }, { type: "done" }] }
}

/** The tokens of a prompt: as the gateway estimates them, where it does. */
export const promptTokensOf = (estimated: number, last: string): number => (estimated > 0 ? estimated : tokensOf(last))
