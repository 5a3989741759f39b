/**
 * What a server is likely to hold of the prompts it was given, as far as its answers bear it out.
 */
import { bytesOf, type MeasuredChain, type PromptChain } from "./prompt-chain.ts"

// A block that has been computed there; those used last come first.
interface Block {
  readonly hash: number
  readonly tokens: number
  /** When it was computed or found last, as a count. */
  usedAt: number
  newer: Block | undefined
  older: Block | undefined
}

/** Blocks that are remembered of one server at most. */
const mostBlocks = 32_768

// What is missing of what was expected, before it is taken for forgotten: a share, and tokens.
const forgotten = { share: 0.75, tokens: 128 } as const

// By how much more it holds that was found to be full and has forgotten less than was thought.
const growth = 1.1

// What was expected to be cached, in tokens, and the share of it below which nothing of it was.
const inVain = { tokens: 256, share: 0.1 } as const

/** The prompts that one server has computed, the oldest forgotten first. */
export class PromptCache {
  private readonly blocks = new Map<number, Block>()
  private newest: Block | undefined
  private oldest: Block | undefined
  private held = 0
  private uses = 0
  // Nothing was found of one prompt: what was used last before that may all be gone. 0 where nothing is in doubt.
  private doubtedTo = 0
  private saidToHold: number | undefined
  // The chain that was looked for last, while nothing has changed: a decision asks several times.
  private looked: PromptChain | undefined
  private depth = 0
  // The same of what was used after some use.
  private after = { of: 0, uses: -1, held: 0, tokens: 0 }
  /** Tokens that it holds; what is not told is learned when it forgets. */
  capacity: number

  constructor(capacity = Infinity) {
    this.capacity = capacity
  }

  /** Takes over how much the server says that it holds, in tokens; what has been learned since stays. */
  told(tokens: number): void {
    if (tokens === this.saidToHold) return
    this.saidToHold = tokens
    this.capacity = tokens
    this.shrink()
  }

  /** Tokens that are held. */
  get tokens(): number {
    return this.held
  }

  /** How many blocks of a chain are held, from its start. */
  depthOf(chain: PromptChain): number {
    if (chain === this.looked) return this.depth
    this.looked = chain
    return (this.depth = this.find(chain))
  }

  /** Which of its uses found the end of what is held of a chain last, as a count; 0 where nothing of it is held. */
  usedAt(chain: PromptChain): number {
    const depth = this.depthOf(chain)
    return depth === 0 ? 0 : (this.blocks.get(chain.hashes[depth - 1] ?? 0)?.usedAt ?? 0)
  }

  /** Tokens that have been used since then. */
  usedAfter(use: number): number {
    const { after } = this
    if (after.of === use && after.uses === this.uses && after.held === this.held) return after.tokens
    let tokens = 0
    for (let each = this.newest; each !== undefined && each.usedAt > use; each = each.older) tokens += each.tokens
    this.after = { of: use, uses: this.uses, held: this.held, tokens }
    return tokens
  }

  private find({ hashes }: PromptChain): number {
    // Those at the end of a chain are forgotten first: what is held is a beginning.
    let from = 0
    let to = hashes.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (this.blocks.has(hashes[middle] ?? 0)) from = middle + 1
      else to = middle
    }
    return from
  }

  /** Notes that a prompt has been computed; `perByte` is tokens for each byte of its chain. */
  holds(chain: MeasuredChain & Pick<PromptChain, "hashes">, perByte: number): void {
    const { hashes } = chain
    this.uses += 1
    // From its end, so that the end is forgotten first.
    for (let at = hashes.length - 1; at >= 0; at -= 1) {
      const hash = hashes[at] ?? 0
      const known = this.blocks.get(hash)
      if (known !== undefined) this.unlink(known)
      const block = known ?? this.added(hash, (bytesOf(chain, at + 1) - bytesOf(chain, at)) * perByte)
      this.link(block)
    }
    this.shrink()
  }

  /**
   * Takes what an answer tells of a prompt: `cached` tokens where `expected` were likely. What is missing has been forgotten,
   * and tells how much is held at all.
   */
  corrects(chain: PromptChain, perByte: number, expected: number, cached: number): void {
    this.doubts(chain, perByte, expected, cached)
    if (cached >= expected * forgotten.share || cached >= expected - forgotten.tokens) {
      // The answer before it is found as well, which nobody counted on: it takes more to show that less was forgotten.
      const isMuch = expected < cached * forgotten.share && cached > expected + forgotten.tokens
      if (isMuch && this.held * growth >= this.capacity) this.capacity *= growth
      return
    }
    const { hashes } = chain
    let lost: Block | undefined
    for (let at = 0; at < hashes.length; at += 1) {
      if (bytesOf(chain, at + 1) * perByte <= cached) continue
      const block = this.blocks.get(hashes[at] ?? 0)
      if (block === undefined) continue
      lost ??= block
    }
    if (lost === undefined) return
    const newer = this.newerThan(lost)
    for (let at = 0; at < hashes.length; at += 1) {
      if (bytesOf(chain, at + 1) * perByte <= cached) continue
      const block = this.blocks.get(hashes[at] ?? 0)
      if (block !== undefined) this.forget(block)
    }
    // What has come since has pushed it out: so much it does not hold.
    if (newer > 0 && newer < this.capacity) {
      this.capacity = this.capacity === Infinity ? newer : (this.capacity + newer) / 2
      this.shrink()
    }
  }

  /** Forgets everything: the server has been away. */
  clear(): void {
    this.looked = undefined
    this.blocks.clear()
    this.newest = undefined
    this.oldest = undefined
    this.doubtedTo = 0
    this.held = 0
  }

  // A server that has been started anew holds nothing: two prompts in a row have nothing of what it held, but of what came since.
  private doubts(chain: PromptChain, perByte: number, expected: number, cached: number): void {
    const { doubtedTo } = this
    const since = doubtedTo === 0 ? 0 : this.usedSince(chain, perByte)
    const old = expected - since
    if (old < inVain.tokens) return
    const isInVain = cached <= since + inVain.share * old
    this.doubtedTo = isInVain && doubtedTo === 0 ? this.uses : 0
    if (!isInVain || doubtedTo === 0) return
    while (this.oldest !== undefined && this.oldest.usedAt <= doubtedTo) this.forget(this.oldest)
  }

  // Tokens of the beginning of a chain that have been used since others are in doubt.
  private usedSince(chain: PromptChain, perByte: number): number {
    const { hashes } = chain
    let at = 0
    while ((this.blocks.get(hashes[at] ?? 0)?.usedAt ?? 0) > this.doubtedTo) at += 1
    return bytesOf(chain, at) * perByte
  }

  private newerThan(block: Block): number {
    let tokens = 0
    for (let each = this.newest; each !== undefined && each !== block; each = each.older) tokens += each.tokens
    return tokens
  }

  private added(hash: number, tokens: number): Block {
    const block: Block = { hash, tokens, usedAt: 0, newer: undefined, older: undefined }
    this.looked = undefined
    this.blocks.set(hash, block)
    this.held += tokens
    return block
  }

  private shrink(): void {
    while (this.oldest !== undefined && (this.held > this.capacity || this.blocks.size > mostBlocks)) {
      this.forget(this.oldest)
    }
  }

  private forget(block: Block): void {
    this.looked = undefined
    this.unlink(block)
    this.blocks.delete(block.hash)
    this.held -= block.tokens
  }

  private link(block: Block): void {
    block.usedAt = this.uses
    block.older = this.newest
    block.newer = undefined
    if (this.newest !== undefined) this.newest.newer = block
    this.newest = block
    this.oldest ??= block
  }

  private unlink(block: Block): void {
    if (block.newer === undefined) this.newest = block.older
    else block.newer.older = block.older
    if (block.older === undefined) this.oldest = block.newer
    else block.older.newer = block.newer
  }
}
