/**
 * What a server is likely to hold of the prompts it was given, as far as its answers bear it out.
 */
import { bytesOf, type MeasuredChain, type PromptChain } from "./prompt-chain.ts"

/** One prompt that was computed, with what is held that was computed or found for it last. */
interface Use {
  /** Which one it was, as a count. */
  readonly nth: number
  tokens: number
  blocks: number
  newer: Use | undefined
  older: Use | undefined
}

// A block that has been computed there; those used last come first.
interface Block {
  readonly hash: number
  readonly tokens: number
  use: Use
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
  // The last of those of which something is held.
  private lastUse: Use | undefined
  // Nothing was found of one prompt: what was used last before that may all be gone. 0 where nothing is in doubt.
  private doubtedTo = 0
  // Tokens that had come since that one was there.
  private doubtedSince = 0
  private saidToHold: number | undefined
  // The chain that was looked for last, while nothing has changed: a decision asks several times.
  private looked: PromptChain | undefined
  private depth = 0
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
    return depth === 0 ? 0 : this.useOf(chain, depth - 1)
  }

  /** How many blocks of a chain have been used since then, from its start: what others have in common with it. */
  depthAfter(chain: PromptChain, use: number): number {
    let from = 0
    let to = this.depthOf(chain)
    while (from < to) {
      const middle = (from + to) >>> 1
      if (this.useOf(chain, middle) > use) from = middle + 1
      else to = middle
    }
    return from
  }

  /** Tokens that have been used since then; no more than `most` are looked for. */
  usedAfter(use: number, most: number): number {
    let tokens = 0
    for (let each = this.lastUse; each !== undefined && each.nth > use && tokens < most; each = each.older)
      tokens += each.tokens
    return Math.min(tokens, most)
  }

  private useOf({ hashes }: PromptChain, at: number): number {
    return this.blocks.get(hashes[at] ?? 0)?.use.nth ?? 0
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
    // It stays at least until all is linked to it.
    const use: Use = { nth: this.uses, tokens: 0, blocks: 1, newer: undefined, older: this.lastUse }
    if (this.lastUse !== undefined) this.lastUse.newer = use
    this.lastUse = use
    // From its end, so that the end is forgotten first.
    for (let at = hashes.length - 1; at >= 0; at -= 1) {
      const hash = hashes[at] ?? 0
      const known = this.blocks.get(hash)
      if (known !== undefined) this.unlink(known)
      this.link(known ?? this.added(hash, (bytesOf(chain, at + 1) - bytesOf(chain, at)) * perByte, use), use)
    }
    this.loses(use)
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
      if (isMuch && this.held * growth >= this.capacity)
        this.capacity = Math.min(
          this.saidToHold ?? Infinity,
          Math.max(this.capacity * growth, this.held + cached - expected)
        )
      return
    }
    const { hashes } = chain
    const own = this.usedAt(chain)
    let lost: Block | undefined
    let isCommon = false
    for (let at = 0; at < hashes.length; at += 1) {
      if (bytesOf(chain, at + 1) * perByte <= cached) continue
      const block = this.blocks.get(hashes[at] ?? 0)
      if (block === undefined) continue
      // What others have in common with it has been used since, and tells nothing of how long it was held.
      if (block.use.nth > own) isCommon = true
      else lost ??= block
    }
    if (lost === undefined) return
    const newer = this.newerThan(lost)
    for (let at = 0; at < hashes.length; at += 1) {
      if (bytesOf(chain, at + 1) * perByte <= cached) continue
      const block = this.blocks.get(hashes[at] ?? 0)
      if (block !== undefined) this.forget(block)
    }
    // What has come since has pushed it out, unless all is gone, that of others as well: that the next one shows.
    if (isCommon && this.doubtedTo !== 0) this.doubtedSince = newer
    else this.holdsLess(newer)
  }

  // So many tokens it does not hold.
  private holdsLess(than: number): void {
    if (than <= 0 || than >= this.capacity) return
    this.capacity = this.capacity === Infinity ? than : (this.capacity + than) / 2
    this.shrink()
  }

  /** Forgets everything: the server has been away. */
  clear(): void {
    this.looked = undefined
    this.blocks.clear()
    this.newest = undefined
    this.oldest = undefined
    this.lastUse = undefined
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
    if (!isInVain && doubtedTo !== 0) this.holdsLess(this.doubtedSince)
    this.doubtedSince = 0
    if (!isInVain || doubtedTo === 0) return
    while (this.oldest !== undefined && this.oldest.use.nth <= doubtedTo) this.forget(this.oldest)
  }

  // Tokens of the beginning of a chain that have been used since others are in doubt.
  private usedSince(chain: PromptChain, perByte: number): number {
    let at = 0
    while (this.useOf(chain, at) > this.doubtedTo) at += 1
    return bytesOf(chain, at) * perByte
  }

  private newerThan(block: Block): number {
    let tokens = 0
    for (let each = this.newest; each !== undefined && each !== block; each = each.older) tokens += each.tokens
    return tokens
  }

  private added(hash: number, tokens: number, use: Use): Block {
    const block: Block = { hash, tokens, use, newer: undefined, older: undefined }
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

  private link(block: Block, use: Use): void {
    block.use = use
    use.tokens += block.tokens
    use.blocks += 1
    block.older = this.newest
    block.newer = undefined
    if (this.newest !== undefined) this.newest.newer = block
    this.newest = block
    this.oldest ??= block
  }

  private unlink(block: Block): void {
    block.use.tokens -= block.tokens
    this.loses(block.use)
    if (block.newer === undefined) this.newest = block.older
    else block.newer.older = block.older
    if (block.older === undefined) this.oldest = block.newer
    else block.older.newer = block.newer
  }

  // One block fewer; nothing is held of one that has lost all.
  private loses(use: Use): void {
    use.blocks -= 1
    if (use.blocks > 0) return
    if (use.newer === undefined) this.lastUse = use.older
    else use.newer.older = use.older
    if (use.older !== undefined) use.older.newer = use.newer
  }
}
