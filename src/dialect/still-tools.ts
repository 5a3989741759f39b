/**
 * Tools in an order that does not depend on the client's. They stand at the head of a prompt: for a server that keeps what it
 * has read of prompts, two of them that change places make everything behind them new.
 */
import type { CacheMark, Chat, ChatTool } from "./chat.ts"

const marked = (tool: ChatTool, cache: CacheMark | undefined): ChatTool => {
  const { cache: _, ...own } = tool
  return cache === undefined ? own : { ...own, cache }
}

const textOf = (tool: ChatTool): string => JSON.stringify(marked(tool, undefined))

/** By their names, and where those are the same by all that they are: which one came first is no matter. */
const compare = (a: ChatTool, b: ChatTool): number => {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1
  const [mine, its] = [textOf(a), textOf(b)]
  return mine === its ? 0 : mine < its ? -1 : 1
}

const isSorted = (tools: ReadonlyArray<ChatTool>): boolean =>
  tools.every((tool, at) => {
    const last = tools[at - 1]
    return last === undefined || compare(last, tool) <= 0
  })

/** Marks stay where they are in the list: what is before them is to be kept, whichever tools that are. */
const sorted = (tools: ReadonlyArray<ChatTool>): ReadonlyArray<ChatTool> =>
  tools.toSorted(compare).map((tool, at) => marked(tool, tools[at]?.cache))

// A chat is never changed, and may be told to several servers.
const known = new WeakMap<ReadonlyArray<ChatTool>, ReadonlyArray<ChatTool>>()

/** The same chat with its tools in an order of their own; the same object where they are in it. */
export const withStillTools = (chat: Chat): Chat => {
  const { tools } = chat
  if (tools.length < 2) return chat
  const found = known.get(tools) ?? (isSorted(tools) ? tools : sorted(tools))
  known.set(tools, found)
  return found === tools ? chat : { ...chat, tools: found }
}
