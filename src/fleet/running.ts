/**
 * One request that a server works on: what it asks for, and what has been seen of it. Times in milliseconds.
 */
import { commonBlocks, type PromptChain } from "./prompt-chain.ts"
import type { Pinned } from "./slot-pins.ts"

/** What a request asks of a server. */
export interface Work {
  /** Tokens of its prompt, as they are estimated. */
  readonly prompt: number
  /** Tokens that its answer is likely to have; 0 where nothing is written. */
  readonly output: number
  /** Whether its answer comes in one piece, so that nothing is seen of it before its end. */
  readonly whole?: boolean
  /** Slots of each server that it and its like leave free; none when absent. */
  readonly leaves?: number | undefined
  /** Whose it is; absent where nobody is told apart. */
  readonly key?: string | undefined
  /** Absent where it is not known, or no matter. */
  readonly chain: PromptChain | undefined
}

/** What an answer told of its tokens; `cached` where the server tells it. */
interface Tokens {
  readonly prompt: number
  readonly cached: number
  readonly completion: number
}

/** What was seen of an answer. */
export interface Seen {
  readonly tokens: Tokens | undefined
  /** Pieces that were written, about as many as tokens, where none were told. */
  readonly written: number
  /** Whether it came in one piece. */
  readonly whole: boolean
}

/** A request that a server works on. */
export interface Running {
  readonly work: Work
  readonly at: number
  /** Tokens that were likely to be cached, and blocks of its chain. */
  readonly cached: number
  /** Which use of the cache what was cached of it is from, as a count. */
  readonly usedAt: number
  /** Tokens of its own that were to be read. */
  readonly own: number
  /** Tokens that were to be read before its own, and how many requests were there. */
  readonly ahead: number
  readonly behind: number
  /** Where it is, of a server that can be told so. */
  readonly pinned: Pinned | undefined
  /** When its answer has begun; 0 before. */
  firstAt: number
  /** The most answers that were under way at once since it came, until its own began. */
  most: number
  /** Whether its model has to be loaded first, and whether it waits for that, whoever came first. */
  isLoading: boolean
  afterLoad: boolean
  /** Which reading of a prompt it was, of those that show how fast it reads; 0 where it shows nothing of that. */
  reading: number
  /** Whether what was to be read before it could not be told well. */
  readonly blind: boolean
  /** How long it took from its beginning, or from the last beginning of another answer since then, to that of its own. */
  readMs: number
}

/**
 * How many tokens were read until an answer began, so many of them its own: with those before it or, where these could not be told
 * well, as many as by what it took for its own alone.
 */
export const readBy = ({ ahead, at, blind, firstAt, readMs }: Running, own: number): number =>
  blind && readMs > 0 ? Math.min(ahead + own, (own * (firstAt - at)) / readMs) : ahead + own

// Of those that a server works on so many are looked at for what they have in common with another one: the last ones.
const looked = 64

/**
 * Blocks of a chain that are there, or are once those are read that came before: where all share one cache they are found then.
 * What is worked on is in the cache only at its end: else nothing would show what was there before.
 */
export const sharedBlocks = (running: ReadonlyArray<Running>, chain: PromptChain): number => {
  const { hashes } = chain
  const from = Math.max(0, running.length - looked)
  let most = 0
  for (let at = running.length - 1; at >= from && most < hashes.length; at -= 1) {
    const other = running[at]?.work.chain
    // A block stands for all before it.
    if (other !== undefined && other.hashes[most] === hashes[most]) most = commonBlocks(other, chain)
  }
  return most
}

/** Blocks that a chain has in common with another one, which has no more than `most` in common with any. */
export const commonUpTo = (one: PromptChain | undefined, other: PromptChain, most: number): number =>
  one === undefined || one.hashes[0] !== other.hashes[0]
    ? 0
    : one.hashes[most - 1] === other.hashes[most - 1]
      ? most
      : commonBlocks(one, other)

// So many of a key are a crowd.
const crowd = 2

/** Whether a key has half of what a server works on, or more. */
export const isCrowdedBy = (running: ReadonlyArray<Running>, key: string): boolean => {
  let own = 0
  for (const { work } of running) if (work.key === key) own += 1
  return own >= crowd && 2 * own >= running.length
}

/** Whether any key has that: with half of all it is that of the last one, or has more than half of the others. */
export const isCrowdedByAny = (running: ReadonlyArray<Running>): boolean => {
  const before = running.length - 1
  const last = running[before]?.work.key
  if (last !== undefined && isCrowdedBy(running, last)) return true
  let most: string | undefined
  let lead = 0
  for (let at = 0; at < before; at += 1) {
    const key = running[at]?.work.key
    if (lead === 0) most = key
    lead += key === most ? 1 : -1
  }
  return most !== undefined && isCrowdedBy(running, most)
}
