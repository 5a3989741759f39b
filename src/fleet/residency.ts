/**
 * Which models a server has in memory that loads them on demand, as far as it tells and as its answers show.
 */

/** How long a model counts as in use after it was asked last, in milliseconds. */
const inUseMs = 60_000

// How long a model takes to load while none was seen to, in milliseconds.
const usualLoadMs = 10_000

// Weight of a new sample.
const fresh = 0.3

/** The memory of one server. */
export class Residency {
  // In the order of their last use.
  private readonly loaded = new Map<string, number>()
  private readonly loads = new Map<string, number>()
  private least: number | undefined
  // When each was thought to be pushed out.
  private readonly pushed = new Map<string, number>()
  private together = 1
  /** Whether one model has been seen to push out another that was in use. */
  tight = false

  /** Takes over what the server tells; those that are being asked stay, whatever it says. */
  tells(models: ReadonlyArray<string>, asked: (model: string) => boolean): void {
    this.together = Math.max(this.together, models.length)
    const told = new Set(models)
    for (const model of this.loaded.keys()) if (!told.has(model) && !asked(model)) this.loaded.delete(model)
    if (models.length > 1) this.tight = false
    for (const model of models) if (!this.loaded.has(model)) this.loaded.set(model, 0)
  }

  /** Whether a model has to be loaded; `told` is what the server said last, undefined where it says nothing of that. */
  isCold(model: string, told: boolean | undefined): boolean {
    if (this.loaded.has(model)) return false
    // Of what nobody has said anything about, nothing is known.
    return told === false || this.pushed.has(model) || (told === undefined && !this.isGuessed)
  }

  /** The least that loading a model is known to take here, in milliseconds; undefined while none was seen to. */
  get leastLoadMs(): number | undefined {
    return this.least
  }

  /** How long loading a model took here, in milliseconds; undefined while it was not seen. */
  ownLoadMs(model: string): number | undefined {
    return this.loads.get(model)
  }

  /**
   * How long it takes to load a model, in milliseconds: what it took here, else what `it` took elsewhere, else as long as others here;
   * where none was seen to be loaded, as long as any takes `elsewhere`.
   */
  loadMs(model: string, elsewhere = usualLoadMs, it?: number): number {
    const known = this.loads.get(model) ?? it
    if (known !== undefined) return known
    let most = 0
    for (const each of this.loads.values()) most = Math.max(most, each)
    return most === 0 ? elsewhere : most
  }

  /** Whether the time that it takes is a guess. */
  private get isGuessed(): boolean {
    return this.loads.size === 0
  }

  /** The model that makes room for another one; undefined where there is room. */
  victimFor(model: string): string | undefined {
    if (this.loaded.has(model) || this.loaded.size < this.together) return undefined
    const [oldest] = this.loaded.keys()
    return oldest
  }

  /** What it costs to push out what makes room, in milliseconds: the time it takes to have it back, when it is in use. */
  costOf(victim: string | undefined, now: number): number {
    if (victim === undefined) return 0
    return now - (this.loaded.get(victim) ?? 0) < inUseMs ? this.loadMs(victim) : 0
  }

  /** A model is asked; whether it has to be loaded first. */
  asks(model: string, now: number): boolean {
    const isCold = !this.loaded.has(model)
    if (isCold) {
      const victim = this.victimFor(model)
      if (victim !== undefined) {
        this.loaded.delete(victim)
        this.pushed.set(victim, now)
      }
    }
    this.loaded.delete(model)
    this.loaded.set(model, now)
    return isCold
  }

  /** A model that had to be loaded has begun to answer, so much later than one that was in memory would have; undefined where that is not known. */
  hasLoaded(model: string, ms: number | undefined, now: number): void {
    const known = this.loads.get(model)
    const pushed = this.pushed.get(model)
    this.pushed.delete(model)
    // What took no time was no load: another process had it loaded, or what is told of it is old.
    if (ms === undefined || (known === undefined && ms === 0)) return
    // It had been in memory all the time, together with those there.
    if (known !== undefined && ms < known / 4) {
      this.together = Math.max(this.together + 1, this.loaded.size)
      this.tight = false
      return
    }
    if (pushed !== undefined && now - pushed < inUseMs) this.tight = true
    this.tookToLoad(model, ms)
  }

  /** Loading a model has taken so long, in milliseconds. */
  tookToLoad(model: string, ms: number): void {
    const known = this.loads.get(model)
    this.loads.set(model, known === undefined ? ms : known + fresh * (ms - known))
    this.least = Math.min(...this.loads.values())
  }

  /** Forgets what is in memory. */
  clear(): void {
    this.loaded.clear()
  }
}
