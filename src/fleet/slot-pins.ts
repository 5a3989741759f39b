/**
 * Which conversation each slot of a server holds that can be told which slot is to take a request, and which one to tell.
 */
import { bytesOf, commonBlocks, type PromptChain } from "./prompt-chain.ts"
import { type Expected, SlotRetention } from "./slot-retention.ts"

/** What one slot is known of. */
interface Slot {
  /** What it holds; undefined where that is nothing, or not known. */
  chain: PromptChain | undefined
  /** Tokens of it, its answer among them. */
  tokens: number
  /** Whether it is certain what it holds: no request was left to the server that it may have put here since. */
  sure: boolean
  /** Whether the answer to what it holds was seen to its end, so that all of it is there. */
  solid: boolean
  /** Requests that are known to be in it. */
  busy: number
  /** How many requests the server had been given when it became idle. */
  idleSince: number
  /** Until then it may go on with what nobody waits for any more, in milliseconds. */
  doubtUntil: number
  /** When it was given something last, in milliseconds. */
  givenAt: number
  /** Whether it was given what it holds in place of another conversation, which may come back. */
  contested: boolean
}

/** Where a request goes, or would go. */
export interface SlotPlace {
  /** The slot that is to be named; undefined where the server chooses. */
  readonly named: number | undefined
  /** The slot that it is in; undefined where that is not known. */
  readonly slot: number | undefined
  /** Whether that slot holds the conversation. */
  readonly own: boolean
  /** Tokens of its prompt that the slot holds. */
  readonly cached: number
  /** Tokens that are to be read again since the slot gives up another conversation. */
  readonly lost: number
}

/** A request that is in a slot. */
export interface Pinned extends SlotPlace, Expected {
  readonly chain: PromptChain | undefined
  /** Whether much was to be found in its slot: where nothing was, slots do not keep what they hold. */
  readonly shows: boolean
  /** Which filling of the slots it belongs to: what they held before they were emptied shows nothing of what they hold now. */
  readonly epoch: number
  /** Which one it is of those that the server was given. */
  readonly nth: number
}

/** How a request can be told its slot. */
export interface Pinning {
  /** Slots that the server told of. */
  readonly slots: number
  /** Whether nothing else is under way there, by this process or another one. */
  readonly alone: boolean
  /** Whether it is a further turn of a conversation. */
  readonly continues: boolean
  /** Whether a slot can be named. */
  readonly names: boolean
}

// A server that is not told a slot takes the idle one that has the most of a prompt, where that is more than this share of the prompt.
const likeEnough = 0.1

// It saves a copy of a slot first where the prompt goes on with less than this share of what the slot holds.
const savedBelow = 0.5

// Whether it has memory for such copies is not told: this share of what it gives up counts as lost.
const notSaved = 0.5

// A slot holds a conversation where the next turn has all that is in it but this share or these last blocks, in which settings may stand
// that change; and where the turn goes on from an earlier one and the slot has all of it but such a share.
const leftBehind = { share: 0.25, blocks: 2 } as const

// Tokens that have to be expected in a slot before what is found shows anything.
const leastShown = 256

// So much more than others have in common with it, in tokens and as a share of all, is more than what tokens are misjudged by.
const ofItsOwn = { tokens: 128, share: 0.05 } as const

// How long a slot may go on with what nobody waits for, in milliseconds: what comes in one piece may not be called off.
const doubtMs = { stream: 1000, whole: 60_000 } as const

// How many times what a slot holds is read again when another conversation takes it: by both, which push out each other from then on,
// or by one where what is there has itself pushed out another one, so that a third one does the least harm there. That a conversation
// comes back at all is half as likely after each `halfMs`.
const comesBack = { both: 2, contested: 1, halfMs: 10 * 60_000 } as const

// Conversations of which it is remembered that nobody here knows their slot.
const mostStrayed = 1000

const newSlot = (): Slot => ({
  chain: undefined,
  tokens: 0,
  sure: false,
  solid: false,
  busy: 0,
  idleSince: 0,
  doubtUntil: 0,
  givenAt: 0,
  contested: false
})

// Which share of a chain is behind so many blocks of it.
const shareBehind = ({ ends }: PromptChain, blocks: number): number => {
  const whole = ends.at(-1) ?? 0
  return whole === 0 ? 0 : 1 - (ends[blocks - 1] ?? 0) / whole
}

// Whether so many blocks are all of a chain but what may be left behind.
const isMost = (chain: PromptChain, blocks: number): boolean =>
  chain.hashes.length - blocks <= leftBehind.blocks || shareBehind(chain, blocks) <= leftBehind.share

const nowhere: SlotPlace = { named: undefined, slot: undefined, own: false, cached: 0, lost: 0 }

/** The slots of one server. */
export class SlotPins {
  /** Whether they keep what they hold. */
  readonly retention = new SlotRetention()
  private slots: Array<Slot> = []
  // How many requests the server has been given.
  private given = 0
  // The last of those that have ended.
  private ended = 0
  // Requests under way of which nobody knows in which slot they are.
  private strays = 0
  // Conversations whose last turn was left to the server to place.
  private readonly strayed = new Set<number>()
  // Conversations whose last turn another process gave to the server.
  private readonly elsewhere = new Set<number>()
  private epoch = 0

  /** Whether what slots hold is known at all, so that it says what will be cached. */
  get tells(): boolean {
    return this.retention.state !== "forgets" && this.slots.some(({ sure }) => sure)
  }

  /** Whether a slot has no conversation, so that nobody loses anything who is sent to it. */
  get hasEmpty(): boolean {
    return this.tells && this.slots.some(({ busy, chain }) => busy === 0 && chain === undefined)
  }

  /**
   * Where a request would go now; `perByte` is tokens for each byte of its chain. `strays` is whether the server may have its conversation
   * in a slot of which nobody knows, `opens` whether it is the first turn of one.
   */
  look(chain: PromptChain | undefined, perByte: number, now: number, strays = false, opens = false): SlotPlace {
    if (chain === undefined) return nowhere
    let own = -1
    let ownBlocks = -1
    let awayBlocks = -1
    let likest = -1
    let likestBlocks = -1
    let empty = -1
    let unsure = false
    for (let at = 0; at < this.slots.length; at += 1) {
      const slot = this.slots[at]
      if (slot === undefined) continue
      const { chain: held } = slot
      if (slot.busy > 0 || slot.doubtUntil > now) {
        if (held?.root === chain.root) awayBlocks = Math.max(awayBlocks, commonBlocks(held, chain))
        continue
      }
      unsure ||= !slot.sure
      if (held === undefined) {
        if (empty < 0) empty = at
        continue
      }
      const blocks = commonBlocks(held, chain)
      if (blocks > ownBlocks && this.goesOn(held, chain, blocks, opens)) {
        own = at
        ownBlocks = blocks
      }
      if (blocks > likestBlocks) {
        likest = at
        likestBlocks = blocks
      }
    }
    // Where more of it is in a slot that it cannot have now, what has less is another thread of its session, and no later turn.
    const held = this.slots[own]?.chain
    if (held !== undefined && ownBlocks < awayBlocks && !isMost(held, ownBlocks)) own = -1
    // The server may have it in a slot of which nobody knows, and something else where it was.
    if (strays && unsure && this.slots[own]?.sure !== true) return nowhere
    if (own >= 0) return this.placeAt(own, true, chain, perByte, now)
    if (empty >= 0) return this.placeAt(empty, false, chain, perByte, now)
    const first = likest < 0 ? undefined : this.placeAt(likest, false, chain, perByte, now)
    if (first === undefined || first.cached <= likeEnough * perByte * chain.bytes) return nowhere
    // Where the server gives up most of what a slot holds it may save that, and look for a copy of this one.
    if (first.cached < savedBelow * (this.slots[likest]?.tokens ?? 0))
      return { ...first, named: undefined, slot: undefined, lost: notSaved * first.lost }
    return this.leastLoss(chain, perByte, now) ?? first
  }

  /** Gives the server a request. */
  begins(chain: PromptChain | undefined, perByte: number, pinning: Pinning, now: number): Pinned {
    this.resize(pinning.slots)
    this.given += 1
    if (this.retention.retries(now)) this.stops()
    const may = this.retention.state !== "forgets" && pinning.alone && pinning.names && this.strays === 0
    const place = may ? this.look(chain, perByte, now, this.mayBeAnywhere(chain, pinning), !pinning.continues) : nowhere
    const slot = place.slot === undefined ? undefined : this.slots[place.slot]
    if (slot === undefined) return this.leftToServer(chain)
    const common = chain === undefined ? 0 : this.commonWith(chain, slot) * perByte
    const isKnown = place.own && slot.sure && slot.solid
    const expects = isKnown && place.cached - common >= Math.max(ofItsOwn.tokens, ofItsOwn.share * place.cached)
    // Not every model can go back to an earlier turn.
    const isNext =
      slot.chain !== undefined && chain !== undefined && isMost(slot.chain, commonBlocks(slot.chain, chain))
    const shows = isKnown && place.cached >= leastShown && isNext
    // A slot that was idle while another one was given work, and did it, shows it: one request tries it for all, and the others get to
    // their slots by what they share with them, as does this one where nothing would be shown.
    const untried = this.retention.state === "untried" && expects
    const trial = untried && shows && this.ended > slot.idleSince && this.retention.mayTry
    const named = untried && !trial ? undefined : place.slot
    if (trial) this.retention.tries()
    if (chain !== undefined) {
      this.strayed.delete(chain.root)
      this.elsewhere.delete(chain.root)
    }
    slot.busy += 1
    slot.givenAt = now
    if (!place.own) slot.contested = place.lost > 0
    return {
      ...place,
      named,
      chain,
      common,
      shows: shows && named !== undefined,
      proves: expects,
      trial,
      epoch: this.epoch,
      nth: this.given
    }
  }

  /**
   * It is over: `cached` of its prompt was found, and the slot holds so many `tokens` now; both undefined where its end was not seen.
   * Gives whether the server has forgotten what it held.
   */
  ends(
    pinned: Pinned,
    told: { readonly cached: number; readonly tokens: number } | undefined,
    whole: boolean,
    now: number
  ): boolean {
    this.leaves(pinned, told === undefined ? now + (whole ? doubtMs.whole : doubtMs.stream) : 0)
    const slot = pinned.slot === undefined ? undefined : this.slots[pinned.slot]
    if (slot !== undefined && this.retention.state !== "forgets") {
      slot.chain = pinned.chain
      slot.tokens = told?.tokens ?? slot.tokens
      slot.sure = pinned.named !== undefined || slot.sure
      slot.solid = told !== undefined
    }
    if (told === undefined || !pinned.shows || pinned.epoch !== this.epoch) return false
    if (!this.retention.hasLost(pinned, told.cached, now)) return false
    this.empties()
    if (slot !== undefined) {
      slot.chain = pinned.chain
      slot.tokens = told.tokens
      slot.solid = true
    }
    return true
  }

  /** It has been away: no slot holds anything. */
  restarts(): void {
    this.empties()
    this.retention.restarts()
  }

  /** Nothing more is named, and nothing known. */
  stops(): void {
    this.epoch += 1
    for (const slot of this.slots) Object.assign(slot, { chain: undefined, tokens: 0, sure: false, solid: false })
  }

  /** Another process has given it a turn of a conversation: nobody here knows in which slot. */
  isGivenElsewhere(root: number): void {
    if (this.elsewhere.size >= mostStrayed) this.elsewhere.clear()
    this.elsewhere.add(root)
    this.doubts()
  }

  /** Whether the last turn of a conversation was given to it by another process. */
  isElsewhere({ root }: PromptChain): boolean {
    return this.elsewhere.has(root)
  }

  private empties(): void {
    this.epoch += 1
    for (const slot of this.slots) Object.assign(slot, { chain: undefined, tokens: 0, sure: true, solid: false })
  }

  private resize(count: number): void {
    if (this.slots.length === count) return
    // Started with other slots it holds nothing of before; those that are under way are in slots that nobody knows.
    this.epoch += 1
    this.slots = Array.from({ length: count }, newSlot)
    this.retention.hasTried()
  }

  // Of what has begun where nobody here saw it, or was left to the server to place.
  private mayBeAnywhere(chain: PromptChain | undefined, { continues }: Pinning): boolean {
    return continues && (chain?.known !== true || this.strayed.has(chain.root) || this.isElsewhere(chain))
  }

  // It may be in any slot that was idle.
  private leftToServer(chain: PromptChain | undefined): Pinned {
    this.strays += 1
    if (chain !== undefined) {
      if (this.strayed.size >= mostStrayed) this.strayed.clear()
      this.strayed.add(chain.root)
      this.elsewhere.delete(chain.root)
    }
    this.doubts()
    return {
      ...nowhere,
      chain,
      common: 0,
      shows: false,
      proves: false,
      trial: false,
      epoch: this.epoch,
      nth: this.given
    }
  }

  private doubts(): void {
    for (const slot of this.slots) if (slot.busy === 0) slot.sure = false
  }

  private leaves({ epoch, nth, slot, trial }: Pinned, doubtUntil: number): void {
    this.ended = Math.max(this.ended, nth)
    if (slot === undefined) {
      this.strays -= 1
      return
    }
    if (trial && epoch === this.epoch) this.retention.hasTried()
    const left = this.slots[slot]
    if (left === undefined) return
    left.busy = Math.max(0, left.busy - 1)
    left.idleSince = this.given
    left.doubtUntil = Math.max(left.doubtUntil, doubtUntil)
  }

  // Whoever goes on from an earlier turn has left what came after it. A first turn has left nothing: what is there is of another thread.
  private goesOn(held: PromptChain, chain: PromptChain, blocks: number, opens: boolean): boolean {
    if (held.root !== chain.root) return false
    return isMost(held, blocks) || (!opens && blocks > 0 && shareBehind(chain, blocks) <= leftBehind.share)
  }

  private placeAt(at: number, own: boolean, chain: PromptChain, perByte: number, now: number): SlotPlace {
    const { chain: held, contested = false, givenAt = 0, tokens = 0 } = this.slots[at] ?? {}
    const blocks = held === undefined ? 0 : commonBlocks(held, chain)
    const cached = bytesOf(chain, blocks) * perByte
    const again = (contested ? comesBack.contested : comesBack.both) * 0.5 ** ((now - givenAt) / comesBack.halfMs)
    return { named: at, slot: at, own, cached, lost: own ? 0 : tokens * again }
  }

  // In bytes, with the slot of its own left out.
  private commonWith(chain: PromptChain, own: Slot): number {
    let blocks = 0
    for (const slot of this.slots) {
      if (slot !== own && slot.chain !== undefined && slot.chain.root !== chain.root)
        blocks = Math.max(blocks, commonBlocks(slot.chain, chain))
    }
    return bytesOf(chain, blocks)
  }

  // Of those of which little enough is given up that the server would save none of it.
  private leastLoss(chain: PromptChain, perByte: number, now: number): SlotPlace | undefined {
    let found: SlotPlace | undefined
    for (let at = 0; at < this.slots.length; at += 1) {
      const slot = this.slots[at]
      if (slot === undefined || slot.busy > 0 || slot.doubtUntil > now) continue
      const place = this.placeAt(at, false, chain, perByte, now)
      if (place.cached >= savedBelow * slot.tokens && place.lost < (found?.lost ?? Infinity)) found = place
    }
    return found
  }
}
