/**
 * How many requests a server works on at once, as far as it can be seen from outside.
 */

// Requests in a row that waited behind so many, before these are believed to be all: as many as were seen to be worked on
// at once, or fewer.
const believed = { all: 2, fewer: 3, told: 4 } as const

// Requests that a server is given at a time while nothing is known, and by how much more where others wait for it.
const search = { from: 4, calm: 3, times: 1.5 } as const

// A step of the search: this share of what was found.
const stepShare = 1 / 8

// Answers that begin for each slot, before a further one is looked for; twice as many after each time in vain.
const tryAfter = { first: 4, most: 64 } as const

// Answers that begin before more are looked for than were seen at once, while others come for whom room is left.
const sparingTry = 8

// So many times as long others have that chance alone.
const modesty = 4

const beyond = (found: number): number => found + Math.max(1, Math.floor(found * stepShare))

/** The slots of one server with one model, learned from when answers begin. */
export class Slots {
  /** The most that it was seen to work on at once. */
  private peak = 0
  private isKnown = false
  /** Whether it refuses what it has no slot for. */
  refuses = false
  // Those that waited behind what is thought to be all, or fewer; a row of either ends with the other, or with proof.
  private full = 0
  private fewer = 0
  private fewest = 0
  // Answers in a row that began beside more than were known.
  private above = 0
  private limit: number = search.from
  /** The same for those who leave it to others to look for more, and are not to have all before these come: one more with each end. */
  calm: number = search.calm
  // Answers that have begun since it was given more than its slots.
  private begun = 0
  private patience: number = tryAfter.first

  /** The slots that were seen; undefined while nothing has waited inside of the server. */
  get seen(): number | undefined {
    return this.isKnown ? this.peak : undefined
  }

  /**
   * Requests that it may be given at a time; now and then some more, which shows whether there are further slots: `modest`
   * ones wait until others have had the chance to look for these.
   */
  places(modest: boolean): number {
    if (!this.isKnown) return this.limit
    return this.begun >= this.patience * this.peak * (modest ? modesty : 1) ? beyond(this.peak) : this.peak
  }

  /**
   * The same while nothing is known and a key has half of it that looks for more: others have what was seen at once, and one further
   * one until one has waited there. Somewhere an answer of that key ends soon.
   */
  get shown(): number {
    const further = this.full === 0 && this.fewer === 0 ? 1 : 0
    return Math.min(this.limit, Math.max(search.from, this.peak + further, this.sparing))
  }

  /** The same while nothing is known and others come, who are left a share of what was seen at once, but for a try now and then. */
  get sparing(): number {
    if (this.begun >= sparingTry) return Math.max(this.calm, this.peak + 1)
    const share = Math.floor(this.peak * stepShare)
    return Math.min(this.calm, Math.max(search.calm, this.peak - share))
  }

  /**
   * Nobody else has come, beside so many that it is given: those who were not to have all before others may have one more. Answers
   * in one piece that end in their order show no more than one at a time.
   */
  eases(given: number): void {
    if (this.calm <= Math.max(this.peak, given)) this.calm += 1
  }

  /** It has been given so many. */
  given(running: number): void {
    if (running > this.peak) this.begun = 0
  }

  /** An answer has ended while so many were there, it included. */
  ended(running: number): void {
    if (running >= this.calm && this.calm <= this.peak) this.calm += 1
  }

  /**
   * It is given all that it may be, and more wait for it: it may have half as many more as were seen at once. Where its slots
   * are known that brings the next search nearer, as if each had given an answer.
   */
  widens(): void {
    if (this.isKnown) this.begun += this.peak
    else this.limit = Math.max(this.limit, Math.ceil(this.peak * search.times))
  }

  /** Nothing is to be seen of what it is given: it may have half as many more all the same, or a little more. */
  gropes(running: number, little: boolean): void {
    this.limit = Math.max(this.limit, little ? beyond(running) : Math.ceil(running * search.times))
  }

  /**
   * An answer has begun while so many were worked on, it included; `others` of them by what other processes told a moment ago, so
   * that more than was known has to be seen several times in a row.
   */
  begins(own: number, others = 0): void {
    const working = own + others
    this.begun += 1
    this.above = working > this.peak ? this.above + 1 : 0
    if (others > 0 && own <= this.peak && working > this.peak && this.above < believed.told) return
    // Whoever waited behind fewer waited for something else.
    if (working > this.fewest) this.fewer = 0
    this.limit = Math.max(this.limit, beyond(working))
    if (working <= this.peak) return
    this.peak = working
    this.above = 0
    this.full = 0
    this.patience = tryAfter.first
    if (!this.isKnown) return
    // Where there was a further one there may be more.
    this.isKnown = false
    this.limit = beyond(working)
  }

  /** An answer has begun only when another had ended: so many are worked on at once. */
  waited(working: number): void {
    this.begun += 1
    if (working >= this.peak) {
      this.fewer = 0
      this.full = working === this.peak ? this.full + 1 : 1
      this.peak = working
      if (this.isKnown) this.patience = Math.min(tryAfter.most, 2 * this.patience)
      else this.isKnown = this.full >= believed.all
      return
    }
    this.fewest = this.fewer === 0 ? working : Math.max(this.fewest, working)
    this.fewer += 1
    if (this.fewer < believed.fewer) return
    this.peak = this.fewest
    this.isKnown = true
    this.full = believed.all
    this.fewer = 0
  }

  /**
   * It refused one while it worked on so many others: it has no more slots than that. Where it has had more, somebody else has them
   * now, or it was too quick; where it has none of these all are somebody else's.
   */
  refused(working: number): void {
    this.refuses = true
    // No more than one further at a time until it is seen what there is.
    if (!this.isKnown) this.limit = Math.max(this.peak, working, 1)
    if (working === 0) return
    if (working < this.peak) {
      this.waited(working)
      return
    }
    if (this.isKnown) this.patience = Math.min(tryAfter.most, 2 * this.patience)
    this.peak = working
    this.isKnown = true
    this.full = believed.all
    this.fewer = 0
    this.begun = 0
  }

  /** It has told that so many were busy while others waited: these are all, unless more were seen to begin at once. */
  shows(told: number): void {
    if (this.isKnown || told < this.peak) return
    this.peak = told
    this.isKnown = true
    this.full = believed.all
    this.fewer = 0
  }

  /** Forgets everything: the server has been away. */
  clear(): void {
    this.peak = 0
    this.limit = search.from
    this.calm = search.calm
    this.isKnown = false
    this.refuses = false
    this.full = 0
    this.fewer = 0
    this.begun = 0
    this.patience = tryAfter.first
  }
}
