/**
 * Prompts by their beginnings: what two requests have in common is told by hashes of blocks, each of all that is before it.
 */
import { crc32 } from "node:zlib"

/** A prompt as a chain of blocks; `hashes[i]` stands for all bytes from its start to `ends[i]`. */
export interface PromptChain {
  readonly hashes: ReadonlyArray<number>
  /** In bytes, from the start of the chain. */
  readonly ends: ReadonlyArray<number>
  /** Bytes of the whole body, which its prompt tokens were counted of. */
  readonly bytes: number
  /** Bytes that servers read before the chain, wherever they stand in the body: the tools. */
  readonly head?: number
  /** Stands for the conversation: the same in all its turns. */
  readonly root: number
  /** Whether an earlier request of its conversation has been seen by this process. */
  readonly known?: boolean
  /** Which one it is of the requests that this process has seen. */
  readonly nth?: number
  /** Which share of them went on with a conversation of late. */
  readonly continuing?: number
}

// A block is as large as a quarter of a thousandth of a long prompt, and a few sentences of a short one: the grid is the same
// for all prompts, so that a longer one has the blocks of a shorter one.
const grid: ReadonlyArray<readonly [to: number, block: number]> = [
  [16 * 1024, 256],
  [128 * 1024, 1024],
  [Infinity, 4096]
]

// Where the conversation begins in the bodies of any dialect; what stands before it are settings.
const openings = ['"messages"', '"contents"', '"input"', '"prompt"'].map((text) => Buffer.from(text))

const tools = Buffer.from('"tools"')
const nameField = Buffer.from('"name"')
const user = Buffer.from('"user"')

const cacheKey = Buffer.from('"prompt_cache_key"')

// The key with its value.
const keyBytes = 64

// What is looked at of the tools, and of the first words of a user, in bytes.
const headBytes = 512

const quote = 0x22
const colon = 0x3a
const backslash = 0x5c
const [opening, closing] = [0x7b, 0x7d]
const [openingList, closingList] = [0x5b, 0x5d]
const blank = 0x20

// What is looked at of a field to see what it is in, in bytes, and of how many of that name.
const fieldBytes = 4096
const mostFields = 8

// The hash of Fowler, Noll and Vo: names are too short for more to be worth it.
const fnv = { basis: 0x811c9dc5, prime: 0x01000193 } as const

// How far it is to the end of the object that something stands in; -1 where that is not in what is looked at.
const endOfObject = (body: Uint8Array, from: number): number => {
  const to = Math.min(body.length, from + headBytes)
  let inText = false
  for (let at = from; at < to; at += 1) {
    const byte = body[at]
    if (byte === quote) inText = !inText
    else if (inText && byte === backslash) at += 1
    else if (!inText && byte === closing) return at - from
  }
  return -1
}

// Between the role of a message and its end there is more than that where its words follow, in bytes.
const leastWords = 12

const { indexOf, lastIndexOf } = Buffer.prototype

const find = (body: Uint8Array, text: Uint8Array, from = 0): number => indexOf.call(body, text, from)

const openingIn = (body: Uint8Array): number => {
  for (const text of openings) {
    const at = find(body, text)
    if (at >= 0) return at
  }
  return 0
}

const hashOf = (body: Uint8Array, at: number, to: number, seed: number): number =>
  crc32(body.subarray(at, Math.min(at + headBytes, to)), seed)

const pastBlanks = (within: Uint8Array, from: number): number => {
  let at = from
  while ((within[at] ?? quote) <= blank) at += 1
  return at
}

// Tools by their names, in whichever order they stand: what is added up is the same in each. What is called so and has no text is
// no name of a tool, nor is a text that says so.
const namesOf = (within: Uint8Array): number => {
  const { length } = within
  let sum = 0
  for (let at = find(within, nameField); at >= 0; at = find(within, nameField, at)) {
    at = pastBlanks(within, at + nameField.length)
    if (within[at] !== colon) continue
    at = pastBlanks(within, at + 1)
    if (within[at] !== quote) continue
    let hash: number = fnv.basis
    for (at += 1; at < length && within[at] !== quote; at += 1) hash = Math.imul(hash ^ (within[at] ?? 0), fnv.prime)
    sum = (sum + hash) >>> 0
  }
  return sum
}

// Whether a field is one of the body itself, and not of something in it: nothing but the end of the body ends before it does.
const isOfBody = (body: Uint8Array, from: number): boolean => {
  const to = Math.min(body.length, from + fieldBytes)
  let depth = 0
  let inText = false
  for (let at = from; at < to; at += 1) {
    const byte = body[at]
    if (byte === quote) inText = !inText
    else if (inText) at += byte === backslash ? 1 : 0
    else if (byte === opening || byte === openingList) depth += 1
    else if ((byte === closing || byte === closingList) && (depth -= 1) < 0)
      return !body.subarray(at + 1).some((each) => each > blank)
  }
  return true
}

// Fields that are of the body, by what was looked at of them: a client sends the same tools with each turn.
const known = new Set<number>()
const mostKnown = 256

const isKnownOfBody = (body: Uint8Array, from: number): boolean => {
  const looked = body.subarray(from, from + fieldBytes)
  const hash = crc32(looked, looked.length)
  if (known.has(hash)) return true
  if (!isOfBody(body, from)) return false
  if (known.size >= mostKnown) known.clear()
  known.add(hash)
  return true
}

// Where the tools that are offered begin; -1 where there are none. Behind the conversation they come last, and what is called so
// in a call of a tool, or in what one takes, is something else.
const toolsIn = (body: Uint8Array, start: number): number => {
  const first = find(body, tools)
  if (first < start) return first
  let at = lastIndexOf.call(body, tools)
  for (let left = mostFields; at >= first && left > 0; left -= 1) {
    if (isKnownOfBody(body, at)) return at
    at = at === 0 ? -1 : lastIndexOf.call(body, tools, at - 1)
  }
  return -1
}

// The first words of a user, without what later turns put after them; before its role where that stands last.
const wordsOf = (body: Uint8Array, start: number, seed: number): number => {
  const at = find(body, user, start)
  if (at < 0) return seed
  const length = endOfObject(body, at)
  if (length >= 0 && length < user.length + leastWords) return hashOf(body, Math.max(start, at - headBytes), at, seed)
  return hashOf(body, at, length < 0 ? body.length : at + length, seed)
}

// What clients tell a cache by, else the first words of a user.
const rootOf = (body: Uint8Array, start: number, hash: number): number => {
  const key = find(body, cacheKey)
  return key < 0 ? wordsOf(body, start, hash) : crc32(body.subarray(key, key + keyBytes))
}

// Those that stand before the conversation end there: what comes after its beginning is another thing in each turn.
const toolsHash = (body: Uint8Array, start: number, offered: number, sorts: boolean): number => {
  if (offered < 0) return 0
  const end = offered < start ? start : body.length
  return sorts ? namesOf(body.subarray(offered, end)) : hashOf(body, offered, end, 0)
}

/**
 * The chain of a request's body, as it came; two turns of a conversation share the blocks of the earlier one. `session`
 * stands for the conversation where its client tells it; 0 otherwise. `sorts` is whether servers are told its tools in an order of their own.
 */
export const promptChain = (body: Uint8Array, session = 0, sorts = false): PromptChain => {
  const start = openingIn(body)
  const hashes: Array<number> = []
  const ends: Array<number> = []
  const offered = toolsIn(body, start)
  let hash = toolsHash(body, start, offered, sorts)
  const root = session === 0 ? rootOf(body, start, hash) : session
  // What stands behind the conversation is not what its next turn begins with.
  const until = offered < start ? body.length : offered
  let at = start
  for (const [to, block] of grid) {
    for (let end = at + block; end <= until && end - start <= to; end += block) {
      hash = crc32(body.subarray(at, end), hash)
      hashes.push(hash)
      ends.push(end - start)
      at = end
    }
  }
  const head = offered < 0 ? 0 : offered < start ? start - offered : body.length - offered
  return { hashes, ends, bytes: body.length, head, root }
}

/** What of a chain tells how much of a body its blocks are; without the size of the body where another process told of it. */
export type MeasuredChain = Pick<PromptChain, "ends" | "head"> & Partial<Pick<PromptChain, "bytes">>

/** How many bytes of a body servers have read that have so many blocks of its chain: no more than it has, though tools behind are in both. */
export const bytesOf = ({ bytes = Infinity, ends, head = 0 }: MeasuredChain, blocks: number): number =>
  blocks === 0 ? 0 : Math.min(bytes, head + (ends[blocks - 1] ?? 0))

/** Where the blocks of a chain end that has so many, in bytes from its start. */
export const endsOf = (count: number): ReadonlyArray<number> => {
  const ends: Array<number> = []
  let at = 0
  for (const [to, block] of grid) {
    for (; ends.length < count && at + block <= to; at += block) ends.push(at + block)
  }
  return ends
}

/** How many blocks two chains have in common. */
export const commonBlocks = ({ hashes: one }: PromptChain, { hashes: other }: PromptChain): number => {
  let from = 0
  let to = Math.min(one.length, other.length)
  while (from < to) {
    const middle = (from + to) >>> 1
    if (one[middle] === other[middle]) from = middle + 1
    else to = middle
  }
  return from
}

/**
 * How much a conversation is drawn to a server, by its root: the same in every process, so that whoever begins it there is
 * followed by those who know nothing of that.
 */
export const attraction = (root: number, server: string): number => {
  let mixed = crc32(server) ^ root
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

// Conversations that are known at most.
const mostConversations = 20_000

// Share of requests that go on with a conversation while little has been seen, and the weight of a new one.
const usuallyContinuing = 0.5
const fresh = 0.05

/** The conversations that were seen of late. */
export class Conversations {
  // In the order in which they were seen last.
  private readonly roots = new Set<number>()
  private seen = 0
  private continuing = usuallyContinuing

  /** Takes a chain in; gives it with what is known of its conversation, and of all. */
  sees(chain: PromptChain): PromptChain {
    const { root } = chain
    const known = this.roots.delete(root)
    if (this.roots.size >= mostConversations) {
      const [oldest] = this.roots
      if (oldest !== undefined) this.roots.delete(oldest)
    }
    this.roots.add(root)
    this.seen += 1
    this.continuing += fresh * ((known ? 1 : 0) - this.continuing)
    return { ...chain, known, nth: this.seen, continuing: this.continuing }
  }
}
