/**
 * What servers keep of prompts: blocks shared by all (vLLM), or one sequence for each slot (llama-server).
 */
import { blockTokens, leadingBlocks, type Prompt } from "./prompt.ts"

/** A slot as it is told. */
export interface HeldSlot {
  readonly busy: boolean
  readonly tokens: number
}

/** Slots, and what they or all of them together remember. */
export interface PromptCache {
  /** Takes a slot for a prompt; undefined when none is free, or not the wanted one. */
  readonly take: (prompt: Prompt, wanted?: number) => number | undefined
  /** Tokens of a prompt that are there as its computation begins. */
  readonly cached: (slot: number, prompt: Prompt) => number
  /** The prompt has been computed. */
  readonly filled: (slot: number, prompt: Prompt) => void
  /** The slot is free; `whole` is what it has computed. */
  readonly release: (slot: number, whole: Prompt) => void
  /** Tokens that would be there, for those who may look inside. */
  readonly peek: (prompt: Prompt) => number
  /** What each slot holds, where slots hold something. */
  readonly held: () => ReadonlyArray<HeldSlot>
  /** Forgets all, while nothing is in work. */
  readonly clear: () => void
}

/** So many blocks in tokens, one of them at most being computed again so that there is something to go on from. */
export const usable = (blocks: number, prompt: Prompt): number =>
  Math.max(0, Math.min(blocks * blockTokens, prompt.tokens - 1))

/** A pool of blocks of which the least recently used go first. */
export const blockCache = (slots: number, tokens: number): PromptCache => {
  const room = Math.floor(tokens / blockTokens)
  const blocks = new Set<number>()
  let busy = 0
  const known = (prompt: Prompt): number => leadingBlocks(prompt, (block) => blocks.has(block))
  // The end of a prompt goes before its beginning, which others may share.
  const touch = (prompt: Prompt): void => {
    for (let at = prompt.blocks.length - 1; at >= 0; at--) {
      const block = prompt.blocks[at] ?? 0
      blocks.delete(block)
      blocks.add(block)
    }
    for (const oldest of blocks) {
      if (blocks.size <= room) break
      blocks.delete(oldest)
    }
  }
  return {
    take: () => {
      if (busy === slots) return undefined
      busy += 1
      return busy
    },
    cached: (_, prompt) => usable(known(prompt), prompt),
    filled: (_, prompt) => touch(prompt),
    release: (_, whole) => {
      busy -= 1
      touch(whole)
    },
    peek: (prompt) => usable(known(prompt), prompt),
    held: () => [],
    clear: () => blocks.clear()
  }
}
