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
  /** The name of the client's key; absent where keys are not told apart. */
  readonly key?: string | undefined
  /** Its prompt as a chain of hashes, by which prompts are compared; absent where the prompt is not known, or does not matter. */
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
  /** Tokens that were written, as they are estimated, where none were told. */
  readonly written: number
  /** Whether it came in one piece. */
  readonly whole: boolean
}

/** A request that a server works on. */
export interface Running {
  readonly work: Work
  /** When it was given to the server. */
  readonly at: number
  /** Tokens of its prompt that were likely to be cached there. */
  readonly cached: number
  /** How often the cache had been used when what is cached of it was used last: what came later may have pushed it out. */
  readonly usedAt: number
  /** Tokens of its prompt that the server had to read, being not cached. */
  readonly own: number
  /** Tokens of other prompts that the server had to read first. */
  readonly ahead: number
  /** How many requests the server worked on when it came. */
  readonly behind: number
  /** The slot that it is in; undefined for a server that cannot be told one. */
  readonly pinned: Pinned | undefined
  /** When its answer has begun; 0 before. */
  firstAt: number
  /** The most answers that were under way at once since it came, until its own began. */
  most: number
  /** Whether its model has to be loaded for it. */
  isLoading: boolean
  /** Whether it waits for the model to be loaded, for it or for another request before it. */
  afterLoad: boolean
  /** The number of its sample among those of how fast prompts are read, by which that is corrected later; 0 where it gave none. */
  reading: number
  /** Whether `ahead` is a poor guess, since nothing was known of how fast the server reads when it came. */
  readonly blind: boolean
  /** Until its first token, from when it came or another answer began, whichever was later. */
  readMs: number
}

/**
 * How many tokens the server read until an answer began, `own` of them of its own prompt: those of prompts before it are added or,
 * where they are a poor guess, reckoned from the time that its own took.
 */
export const readBy = ({ ahead, at, blind, firstAt, readMs }: Running, own: number): number =>
  blind && readMs > 0 ? Math.min(ahead + own, (own * (firstAt - at)) / readMs) : ahead + own

// A prompt is compared with the last so many that the server works on.
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
