/**
 * A request whose names of tools and ids of calls are those that a server's dialect takes, by a table kept for the request:
 * what differs stays different, and an answer has the names that its client gave.
 */
import * as Hash from "effect/Hash"
import * as Result from "effect/Result"
import type { AnswerContext, AnswerDecoder, Chat, ChatEvent, ChatMessage, ChatTool, ChatTurnItem } from "./chat.ts"

/** What a dialect takes for a name or an id. */
export interface WordRule {
  /** Every letter that it does not take; a pattern with the flag `g`. */
  readonly unfit: RegExp
  /** A beginning that it does not take. */
  readonly unfitStart?: RegExp
  readonly longest: number
  /** Whether nothing shorter fits either. */
  readonly exactly?: true
}

/** What a dialect takes for the names of tools and the ids of calls. */
export interface ChatLimits {
  readonly names: WordRule
  readonly ids: WordRule
  /** Whether it refuses two tools of one name. */
  readonly apart?: true
}

/** A chat as a server's dialect takes it. */
export interface FittedChat {
  readonly chat: Chat
  /** The decoder of its answers as one that gives the names which the client has given. */
  readonly restoring: (decoder: AnswerDecoder) => AnswerDecoder
}

/** A short word for a text, always the same one. */
const digest = (text: string): string => (Hash.string(text) >>> 0).toString(36).padStart(7, "0")

/** A word of that length that stands for a text. */
const standIn = (text: string, length: number): string => (digest(text) + digest(`${text}\n`)).slice(-length)

/** The word itself where it fits, else the nearest that does. */
const nearest = (word: string, { exactly, longest, unfit, unfitStart }: WordRule): string => {
  if (exactly === true) return word.length === longest && word.search(unfit) < 0 ? word : standIn(word, longest)
  const clean = word.replace(unfit, "_")
  const begun = clean === "" || unfitStart?.test(clean) === true ? `_${clean}` : clean
  return begun.length > longest ? `${begun.slice(0, longest - 8)}_${digest(word)}` : begun
}

/** Takes a word that nobody has, as near to this one as may be; the same whenever the same are taken. */
const take = (word: string, rule: WordRule, taken: Set<string>): string => {
  const near = nearest(word, rule)
  let own = near
  for (let time = 1; taken.has(own); time += 1) {
    const other = `${word}\n${time}`
    own = rule.exactly === true ? standIn(other, rule.longest) : `${near.slice(0, rule.longest - 8)}_${digest(other)}`
  }
  taken.add(own)
  return own
}

const callsOf = (message: ChatMessage): ReadonlyArray<ChatTurnItem & { readonly type: "call" }> =>
  message.role === "assistant" ? message.items.flatMap((item) => (item.type === "call" ? [item] : [])) : []

const noNames: ReadonlyMap<string, string> = new Map()

const isOfAssistant = ({ role }: ChatMessage): boolean => role === "assistant"

// Names that fit stand, whatever comes before them.
const toldNames = (chat: Chat, rule: WordRule): ReadonlyMap<string, string> =>
  chat.tools.length === 0 && typeof chat.toolChoice !== "object" && !chat.messages.some(isOfAssistant)
    ? noNames
    : namesToTell(chat, rule)

const namesToTell = ({ messages, toolChoice, tools }: Chat, rule: WordRule): ReadonlyMap<string, string> => {
  const all = new Set([
    ...tools.map(({ name }) => name),
    ...messages.flatMap((message) => callsOf(message).map(({ name }) => name)),
    ...(typeof toolChoice === "object" ? [toolChoice.name] : [])
  ])
  const told = new Map<string, string>()
  const taken = new Set<string>()
  for (const name of all) if (nearest(name, rule) === name) taken.add(name)
  if (taken.size < all.size) for (const name of all) if (!taken.has(name)) told.set(name, take(name, rule, taken))
  return told
}

/** The messages with ids that fit, each of one call alone; the very same where they all are. */
const withFitIds = (messages: ReadonlyArray<ChatMessage>, rule: WordRule): ReadonlyArray<ChatMessage> =>
  messages.some(isOfAssistant) ? withOwnIds(messages, rule) : messages

const withOwnIds = (messages: ReadonlyArray<ChatMessage>, rule: WordRule): ReadonlyArray<ChatMessage> => {
  const ids = messages.flatMap((message) => callsOf(message).map(({ id }) => id))
  const fit = new Set(ids.filter((id) => nearest(id, rule) === id))
  if (fit.size === ids.length) return messages
  const taken = new Set(fit)
  const seen = new Set<string>()
  // What each id of the last turn is told as: several where several calls have it, in their order.
  let open = new Map<string, ReadonlyArray<string>>()
  return messages.map((message): ChatMessage => {
    if (message.role === "assistant") {
      const turn = new Map<string, ReadonlyArray<string>>()
      open = turn
      const items = message.items.map((item) => {
        if (item.type !== "call") return item
        const { id } = item
        const own = fit.has(id) && !seen.has(id) ? id : take(id, rule, taken)
        seen.add(id)
        turn.set(id, [...(turn.get(id) ?? []), own])
        return { ...item, id: own }
      })
      return { ...message, items }
    }
    if (message.role !== "tool") return message
    const [own = message.callId, ...later] = open.get(message.callId) ?? []
    if (later.length > 0) open.set(message.callId, later)
    return { ...message, callId: own }
  })
}

const withNames = (chat: Chat, told: ReadonlyMap<string, string>): Chat => {
  const named = <A extends { readonly name: string }>(each: A): A => {
    const name = told.get(each.name)
    return name === undefined ? each : { ...each, name }
  }
  const called = (message: ChatMessage): ChatMessage => {
    if (message.role !== "assistant") return message
    return { ...message, items: message.items.map((item) => (item.type === "call" ? named(item) : item)) }
  }
  const { messages, toolChoice, tools } = chat
  const choice = typeof toolChoice === "object" ? { toolChoice: named(toolChoice) } : {}
  return { ...chat, tools: tools.map(named), ...choice, messages: messages.map(called) }
}

const saidOf = ({ description, name, schema, strict }: ChatTool): string =>
  JSON.stringify({ name, description, schema, strict })

/** Tools of different names: one that is told twice is told once, others of its name get their own, which `meant` keeps. */
const toolsApart = ({ messages, tools }: Chat, rule: WordRule, meant: Map<string, string>): ReadonlyArray<ChatTool> => {
  const names = new Set(tools.map(({ name }) => name))
  if (names.size === tools.length) return tools
  const taken = new Set([...names, ...messages.flatMap((message) => callsOf(message).map(({ name }) => name))])
  const told = new Set<string>()
  const seen = new Set<string>()
  const kept: Array<ChatTool> = []
  for (const tool of tools) {
    const { cache, name } = tool
    const said = saidOf(tool)
    const last = kept.at(-1)
    if (!told.has(said)) {
      const own = seen.has(name) ? take(name, rule, taken) : name
      if (own !== name) meant.set(own, name)
      kept.push(own === name ? tool : { ...tool, name: own })
    } else if (cache !== undefined && last !== undefined) {
      // What is to be kept of the prompt up to here ends with the one before.
      kept[kept.length - 1] = { ...last, cache }
    }
    told.add(said)
    seen.add(name)
  }
  return kept
}

const asItIs = (decoder: AnswerDecoder): AnswerDecoder => decoder

/** Makes a chat one that fits; the very same where it does. */
export const fittedChat = (chat: Chat, { apart, ids, names }: ChatLimits): FittedChat => {
  const messages = withFitIds(chat.messages, ids)
  const meant = new Map<string, string>()
  const tools = apart === true ? toolsApart(chat, names, meant) : chat.tools
  const fit = messages === chat.messages && tools === chat.tools ? chat : { ...chat, messages, tools }
  const told = toldNames(fit, names)
  if (told.size > 0) for (const [name, own] of told) meant.set(own, meant.get(name) ?? name)
  if (meant.size === 0) return { chat: fit, restoring: asItIs }
  return { chat: told.size === 0 ? fit : withNames(fit, told), restoring: restoringOf(meant) }
}

/** Decoders whose calls have the names that these were told for. */
const restoringOf = (meant: ReadonlyMap<string, string>): FittedChat["restoring"] => {
  const restored = (events: ReadonlyArray<ChatEvent>): ReadonlyArray<ChatEvent> =>
    events.map((event) => (event.type === "call" ? { ...event, name: meant.get(event.name) ?? event.name } : event))
  return ({ stream, whole }) => ({
    stream: {
      start: () => {
        const step = stream.start()
        return { push: (piece) => restored(step.push(piece)), end: () => restored(step.end()) }
      }
    },
    whole: (body) => Result.map(whole(body), restored)
  })
}

/** What a dialect takes for the id of a call, and how those begin that are made for it. */
export interface CallIdForm {
  readonly fits: RegExp
  readonly prefix: string
}

/**
 * The ids of the calls in one answer, as its client's dialect holds them: those that a server gives stand where they fit
 * and are new, in the answer and against the history of its request. Clients pair calls with results by them.
 */
export class CallIds {
  private readonly context: AnswerContext
  private readonly form: CallIdForm
  private given: Set<string> | undefined

  constructor(context: AnswerContext, form: CallIdForm) {
    this.context = context
    this.form = form
  }

  /** The id of the next call, for the one that its server gave. */
  of(id: string | undefined): string {
    const { callIds, id: answer } = this.context
    const { fits, prefix } = this.form
    const given = (this.given ??= new Set())
    const stands = id !== undefined && fits.test(id) && !callIds.has(id) && !given.has(id)
    const own = stands ? id : `${prefix}${answer}_${given.size + 1}`
    given.add(own)
    return own
  }
}
