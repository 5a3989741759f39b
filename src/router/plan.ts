/**
 * The order in which candidates are asked, made up one attempt at a time with the load of that moment.
 */
import { contextOf } from "../domain/server.ts"
import type { Ability, RoutingNeeds } from "../domain/request.ts"
import type { RoutingSettings, Ruling } from "../domain/routing.ts"
import type { BackendState, Candidate, Snapshot } from "../registry/snapshot.ts"
import {
  availabilityExclusion,
  type Excluded,
  capabilityExclusion,
  withMostContext,
  circuitExclusion,
  fullOf,
  isBehind,
  lacksSlotOnly,
  slotExclusion
} from "./filter.ts"
import { upstreamName, type NameTarget } from "./names.ts"
import {
  ablePool,
  chainFor,
  emptyPool,
  type Pool,
  poolOf,
  type PromptMaker,
  refreshPool,
  speakingNatively
} from "./candidate-columns.ts"
import type { Work } from "../fleet/running.ts"
import type { Recalled, Standing } from "../fleet/standing.ts"
import { type Claim, bestSpeeds, type BestSpeeds, expectEnd, noEnd, placesAt } from "./expected-end.ts"
import type { Attempt, Choice, ScoredCandidate } from "./choice.ts"
import { lastResort, mistrusted } from "./last-resort.ts"
import { type Chance, chooseCandidate, isCrowded, smartest, type StrategyInput } from "./strategy.ts"
import { leftOutOf, targetsFor } from "./rule-targets.ts"
import { forbiddenIn } from "./scope.ts"
import { withFigures, type LiveFigures, recordFigures, standingNow, type Standpoint } from "./live-figures.ts"

// Tokens of an answer that nobody has bounded, while none was seen.
const usualOutput = 256

const nobodyAhead = (): number => 0

const nothing: ReadonlyArray<Ability> = []
const nobody: ReadonlyArray<Candidate> = []

/** What a decision starts from, beside the live figures of its moment. */
export interface DecisionBasis {
  readonly needs: RoutingNeeds
  readonly settings: RoutingSettings
  readonly snapshot: Snapshot
  readonly turn: number
  /** What the random strategy has drawn. */
  readonly drawn: ReadonlyArray<number>
  /** What the route table made of the request; undefined where there is none. */
  readonly ruling: Ruling | undefined
}

const nothingDrawn: ReadonlyArray<number> = []

/** A plan for one request over one snapshot. */
export class Plan implements DecisionBasis, Standpoint<StrategyInput> {
  readonly requested: string
  /** Who may answer, those first who serve what was asked for. */
  readonly targets: ReadonlyArray<NameTarget>
  readonly settings: RoutingSettings
  readonly snapshot: Snapshot
  readonly needs: RoutingNeeds
  readonly ruling: Ruling | undefined
  private readonly by: Chance
  private readonly asked: Array<Attempt> = []
  private readonly lost: Array<BackendState> = []
  private prompt: PromptMaker | undefined
  private made: Work | undefined
  // By the place of the target.
  private readonly bests: Array<BestSpeeds | undefined> = []
  private waiting: Choice | undefined
  // The context that was too short, in tokens.
  private outgrown = 0
  drawn: ReadonlyArray<number> = nothingDrawn
  private claim: Claim

  constructor(
    needs: RoutingNeeds,
    settings: RoutingSettings,
    snapshot: Snapshot,
    by: Chance,
    now: number,
    ruling?: Ruling,
    targets = targetsFor(needs, ruling, settings, snapshot),
    prompt?: PromptMaker
  ) {
    this.ruling = ruling
    this.requested = needs.model
    this.needs = needs
    this.claim = needs
    this.settings = settings
    this.targets = targets
    this.snapshot = snapshot
    this.by = by
    this.prompt = prompt
    this.waiting = this.pick(now, nobodyAhead)
  }

  /** What the request asks of a server; its prompt is looked at where there is a choice, of servers or of their slots. */
  get work(): Work {
    if (this.made !== undefined) return this.made
    const { key, leaves, outputTokens, promptTokens, stream } = this.needs
    const output = this.needs.abilities.includes("embeddings") ? 0 : outputTokens === 0 ? usualOutput : outputTokens
    const chain = this.prompt && chainFor(this.targets, this.settings, this, this.prompt)
    return (this.made = { prompt: promptTokens, output, chain, whole: !stream, leaves, key })
  }

  /** The models that may answer, the one asked for first, by the names that they are known by here. */
  get models(): ReadonlyArray<string> {
    const names = this.targets.map(({ name }) => name)
    // The others of a canary may have the same model.
    return this.ruling === undefined ? names : [...new Set(names)]
  }

  /** The strategy that orders the candidates. */
  get strategy(): StrategyInput["strategy"] {
    return this.settings.strategy
  }

  get turn(): number {
    return this.by.turn
  }

  /** Whether there is anyone to ask or to wait for. */
  get empty(): boolean {
    return this.waiting === undefined && this.asked.length === 0
  }

  /** The next attempt: the best of those not yet asked, at this moment; undefined when there is none left, or none with a slot. */
  next(now: number): Attempt | undefined {
    const choice = this.waiting ?? this.pick(now, nobodyAhead)
    this.waiting = undefined
    if (choice?._tag !== "Ask") return undefined
    return this.takes(choice.attempt)
  }

  /** What is best as it was found when it was made or looked at last. Whoever is asked is to be taken. */
  choose(now: number): Choice | undefined {
    const choice = this.waiting ?? this.pick(now, nobodyAhead)
    this.waiting = undefined
    return choice
  }

  /** What is best at this moment; `ahead` is how many wait for a server already. Whoever is asked is to be taken. */
  chooseAnew(now: number, ahead: (standing: Standing) => number): Choice | undefined {
    this.waiting = undefined
    if (this.asked.length === 0) this.bests.length = 0
    return this.pick(now, ahead)
  }

  /** Whether other keys than its own may ask as well, and whether any has of late: then who was found may have no place for it. */
  shares(others: boolean, spares: boolean, leaves: number | undefined): void {
    const { leaves: left, shares = false, spares: spared = false } = this.claim
    if (others === shares && spares === spared && leaves === left) return
    this.claim = { key: this.needs.key, leaves, shares: others, spares }
    const { waiting } = this
    const isCrowding = waiting?._tag === "Ask" && isCrowded(waiting.attempt.candidate, this.claim)
    if (isCrowding || (waiting?._tag === "Wait" && leaves !== left)) this.waiting = undefined
  }

  /** The same over what there is now; whoever was asked, or lost, still was, except for those that had no slot. */
  over(snapshot: Snapshot, now: number, slotless: ReadonlyArray<Attempt> = []): Plan {
    const { by, needs, ruling, settings } = this
    const renewed = new Plan(needs, settings, snapshot, by, now, ruling, undefined, { chain: () => this.work.chain })
    renewed.asked.push(...this.asked.filter((each) => !slotless.includes(each)))
    renewed.lost.push(...this.lost)
    renewed.outgrown = this.outgrown
    return renewed
  }

  /** Asks somebody, who is asked no more after that. */
  takes(attempt: Attempt): Attempt {
    this.asked.push(attempt)
    // The body that it is made of is not to be held for as long as the answer goes on.
    this.made = this.work
    this.prompt = undefined
    return attempt
  }

  /** Whether there is somebody to ask at once. */
  canAsk(now: number): boolean {
    this.waiting ??= this.pick(now, nobodyAhead)
    return this.waiting?._tag === "Ask"
  }

  /** Whether there is another one to ask, or to wait for. */
  hasNext(now: number): boolean {
    this.waiting ??= this.pick(now, nobodyAhead)
    return this.waiting !== undefined
  }

  /** Asks a backend for nothing more, whatever its models: it cannot be reached. */
  lose(state: BackendState): void {
    this.lost.push(state)
    const waiting = this.waiting?._tag === "Ask" ? this.waiting.attempt.candidate : this.waiting?.candidate
    if (waiting?.state === state) this.waiting = undefined
  }

  /** Asks only those from here on who are known to have more room than one that had too little; whether there is any. */
  outgrow({ model }: Candidate, now: number): boolean {
    const had = contextOf(model)
    if (had === undefined) return false
    this.outgrown = Math.max(this.outgrown, had)
    this.waiting = undefined
    return this.hasNext(now)
  }

  /** The model of an attempt, and who else serves it. */
  targetOf({ candidate: { model, state } }: Attempt): NameTarget | undefined {
    const { name } = state.backend
    return this.targets.find(({ candidates }) =>
      candidates.some((each) => each.state.backend.name === name && each.model.id === model.id)
    )
  }

  /** The best one for a model that could be asked beside another, if any: it has room, and nothing is held against it. */
  spare(target: NameTarget, now: number, suits: (candidate: Candidate) => boolean): Attempt | undefined {
    const able = this.eligible(target, now).candidates.filter(suits)
    if (able.length === 0) return undefined
    const pool = poolOf(able)
    const chosen = chooseCandidate(pool, this.input(now, nobodyAhead), pool.mixed ? this.isNative : undefined)
    if (chosen === undefined) return undefined
    const attempt: Attempt = { ...this.attempt(chosen, target), reason: "hedge" }
    this.asked.push(attempt)
    this.waiting = undefined
    return attempt
  }

  /** Everyone who serves a model of this plan and is left out of it now, with the reason. */
  excluded(now: number): ReadonlyArray<Excluded> {
    const found = this.targets.flatMap(({ candidates }) =>
      candidates.flatMap((candidate): ReadonlyArray<Excluded> => {
        const why =
          capabilityExclusion(candidate, this.needs) ??
          availabilityExclusion(candidate) ??
          circuitExclusion(candidate, now) ??
          this.slotless(candidate)
        return why === undefined ? [] : [{ candidate, why }]
      })
    )
    return [...found, ...leftOutOf(this.targets, this.ruling?.rule?.name), ...this.forbidden()]
  }

  /** Those that the key of the request is not for. */
  forbidden(): ReadonlyArray<Excluded> {
    return forbiddenIn(this.targets, this.needs.scope)
  }

  /** The live figures this plan goes by, to be kept with it for {@link replay}. */
  liveFigures(now: number): LiveFigures {
    return recordFigures(this.targets, this.input(now, nobodyAhead), this)
  }

  /** How a candidate of the target at a place stands by that, to be read at once. */
  stands(candidate: Candidate, at: number, input: StrategyInput): Recalled {
    const best = input.strategy === "smart" ? this.best(at) : undefined
    return standingNow(candidate, input, best, this.settings.waits)
  }

  /** The same plan from its beginning, as it was at that moment; what becomes of it changes nothing elsewhere. */
  replay(seen: LiveFigures): Plan {
    const drawn = [...this.drawn]
    const random = () => drawn.shift() ?? this.remember(this.by.random())
    const lists = withFigures(this.targets, seen)
    const targets = this.targets.map((target, at) => ({ ...target, candidates: lists[at] ?? target.candidates }))
    return new Plan(
      this.needs,
      this.settings,
      this.snapshot,
      { turn: this.turn, random },
      seen.now,
      this.ruling,
      targets
    )
  }

  /** Those of each model that could be asked now, with the parts of their scores for the smart strategy. */
  rated(now: number): ReadonlyArray<ScoredCandidate> {
    const draw = this.input(now, nobodyAhead)
    return this.targets.flatMap((target, place) => {
      const able = this.able(target, now)
      const best = this.best(place)
      return able.candidates.map((candidate, at) => {
        const standing = able.standings[at]
        if (draw.strategy !== "smart" || standing === undefined) return { candidate, end: undefined }
        const places = placesAt(candidate, standing, draw.claim)
        return { candidate, end: expectEnd(noEnd(), candidate, standing, places, best, draw) }
      })
    })
  }

  // The measure stays the same for all attempts, so that their order is that of one moment.
  private best(place: number): BestSpeeds {
    const known = this.bests[place]
    if (known !== undefined) return known
    const pool = ablePool(this.targets[place]?.candidates ?? nobody, nothing)
    return (this.bests[place] = bestSpeeds(pool, this.work.chain))
  }

  private input(now: number, ahead: (standing: Standing) => number): StrategyInput {
    const { claim, by, settings, work } = this
    const { strategy, weights } = settings
    const random = strategy === "random" ? this.remembering() : by.random
    return { strategy, weights, turn: by.turn, random, work, now, claim, ahead }
  }

  private slotless(candidate: Candidate): ReturnType<typeof slotExclusion> {
    return this.settings.waits ? slotExclusion(candidate, this.claim) : undefined
  }

  private remembering(): () => number {
    return () => this.remember(this.by.random())
  }

  private remember(drawn: number): number {
    this.drawn = [...this.drawn, drawn]
    return drawn
  }

  /** Those who could be asked now and have the room that is wanted, or the most of all. */
  private eligible(target: NameTarget, now: number): Pool {
    const able = this.able(target, now)
    const { outputTokens, promptTokens } = this.needs
    if (able.candidates.length < 2 || promptTokens + outputTokens <= able.leastContext) return able
    return poolOf(withMostContext(able.candidates, this.needs))
  }

  private able({ candidates }: NameTarget, now: number): Pool {
    if (candidates.length === 0) return emptyPool
    const pool = ablePool(candidates, this.needs.abilities)
    const { promptTokens, outputTokens } = this.needs
    const isCalm = refreshPool(pool)
    const fresh = this.asked.length === 0 && this.lost.length === 0
    return isCalm && fresh && promptTokens + outputTokens <= pool.leastContext ? pool : this.ableNow(pool, now)
  }

  /** Those of a pool who could be asked, one by one. */
  private ableNow(pool: Pool, now: number): Pool {
    const able = pool.candidates.filter(
      (candidate) =>
        !this.wasAsked(candidate) &&
        capabilityExclusion(candidate, this.needs) === undefined &&
        availabilityExclusion(candidate) === undefined &&
        circuitExclusion(candidate, now) === undefined &&
        this.slotless(candidate) === undefined
    )
    return able.length === pool.candidates.length ? pool : poolOf(able)
  }

  private wasAsked({ state, model }: Candidate): boolean {
    return (
      this.lost.some(({ live }) => live === state.live) ||
      (this.outgrown > 0 && (contextOf(model) ?? 0) <= this.outgrown) ||
      this.asked.some(({ candidate }) => candidate.state.live === state.live && candidate.model.id === model.id)
    )
  }

  /** Those who lack nothing but a slot, of as much room as is wanted. */
  private full({ candidates }: NameTarget, now: number): ReadonlyArray<Candidate> {
    if (!this.settings.waits) return nobody
    const full = candidates.filter(
      (candidate) =>
        !this.wasAsked(candidate) &&
        capabilityExclusion(candidate, this.needs) === undefined &&
        lacksSlotOnly(candidate, this.slotless(candidate), now)
    )
    return full.length < 2 ? full : withMostContext(full, this.needs)
  }

  private pick(now: number, ahead: (standing: Standing) => number): Choice | undefined {
    const isSmart = this.strategy === "smart"
    let input: StrategyInput | undefined
    let held: Candidate | undefined
    for (let at = 0; at < this.targets.length; at += 1) {
      const target = this.targets[at]
      if (target === undefined) break
      const pool = this.eligible(target, now)
      // Where all have a slot nobody is waited for.
      const full = pool.candidates.length === target.candidates.length ? nobody : this.full(target, now)
      const [only] = pool.candidates
      // Nothing is to be weighed where there is no choice.
      if (only !== undefined && pool.candidates.length === 1 && full.length === 0)
        return { _tag: "Ask", attempt: this.attempt(only, target) }
      input ??= this.input(now, ahead)
      const isNative = pool.mixed ? this.isNative : undefined
      if (isSmart && (full.length > 0 || pool.candidates.length > 1)) {
        const best = smartest(pool, full, this.best(at), input, isNative)
        if (best?.isFull === false)
          return { _tag: "Ask", attempt: this.attempt(best.candidate, target, best.passesFull, full) }
        // Others than this one may have a slot, if it is worth less: those of another model do.
        if (best !== undefined) held ??= best.candidate
        if (pool.candidates.length > 0 && held !== undefined) return { _tag: "Wait", candidate: held, all: false }
        continue
      }
      const chosen = chooseCandidate(pool, input, isNative)
      if (chosen !== undefined) return { _tag: "Ask", attempt: this.attempt(chosen, target, false, full) }
      const [first] = full
      held ??= first
    }
    return held === undefined ? this.pickOfLast(now) : { _tag: "Wait", candidate: held, all: true }
  }

  /** Who is asked where nobody should be: better one of little promise than none. */
  private pickOfLast(now: number): Choice | undefined {
    const wasAsked = (candidate: Candidate) => this.wasAsked(candidate)
    for (const target of this.targets) {
      const chosen = lastResort(target.candidates, this.needs, wasAsked, now)
      if (chosen !== undefined) return { _tag: "Ask", attempt: this.attempt(chosen, target) }
    }
    const found = mistrusted(this.targets, this.asked, this.needs, wasAsked, now)
    return found === undefined ? undefined : { _tag: "Ask", attempt: this.attempt(found.candidate, found.target) }
  }

  /** Tells those who are asked in their client's own dialect; undefined where nobody said which that is. */
  get isNative(): ((candidate: Candidate) => boolean) | undefined {
    const { dialect, operation } = this.needs
    return dialect === undefined ? undefined : speakingNatively(dialect, operation.name)
  }

  /** `full` are those that were passed over for want of a slot, `passesFull` tells whether one of them was worth more. */
  private attempt(
    candidate: Candidate,
    target: NameTarget,
    passesFull = false,
    full: ReadonlyArray<Candidate> = nobody
  ): Attempt {
    const [first] = this.targets
    const isLater = target !== first
    // The others of a canary may have the same model.
    const fallback = isLater && target.name !== first?.name
    // Where nobody waits, those that are full are looked for only when a request may have gone past them.
    const isOpen = this.settings.waits || !ablePool(target.candidates, this.needs.abilities).limited
    const passed = isOpen ? full : fullOf(target.candidates)
    const reason = isLater
      ? "failover"
      : passesFull || isBehind(candidate, passed)
        ? "capacity-overflow"
        : "capability-match"
    const resolved = first?.understood === true ? first.name : undefined
    const model = upstreamName(target, candidate)
    return { candidate, model, resolved, fallback, reason, ruling: this.ruling }
  }
}
