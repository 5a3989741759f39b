/**
 * What the gateway decides by, in virtual time and in one process with the simulated machines: plans, the queue, standings,
 * hedges. Sockets, dialects and probes are left out; what they would tell is told at once.
 */
import { Clock, Effect } from "effect"
import type { Backend } from "../../src/backend/backend.ts"
import { mayLoad, namedSlots } from "../../src/backend/backend.ts"
import { afterLook, type FullLoad, noFullLoad, slotsSeen } from "../../src/backend/vllm-metrics.ts"
import { endpointFacts } from "../../src/dialect/openai/openai-endpoints.ts"
import type { RoutingNeeds } from "../../src/domain/request.ts"
import type { RoutingSettings } from "../../src/domain/routing.ts"
import type { Model } from "../../src/domain/server.ts"
import { Conversations, promptChain } from "../../src/fleet/prompt-chain.ts"
import { Hedging } from "../../src/proxy/hedging.ts"
import { Race, type Racer } from "../../src/proxy/race.ts"
import { SlotQueue, type SlotSeeker } from "../../src/proxy/slot-queue.ts"
import { noteLoaded, Ticket } from "../../src/registry/live-state.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import { applyProbe, emptySnapshot, withBackend, withSlotsSeen } from "../../src/registry/snapshot-changes.ts"
import type { Attempt } from "../../src/router/choice.ts"
import { Plan } from "../../src/router/plan.ts"
import { QueueCounts } from "../../src/telemetry/queue-counts.ts"
import type { Deadlines } from "../../src/upstream/Deadlines.ts"
import { type Chance, chanceOf } from "../soak/chance.ts"
import { type Answer, answerTo, asWritten } from "./answer.ts"
import type { Question, Told } from "./client.ts"
import type { Machine, MachineSpec } from "./machine.ts"
import { type Prompt, promptOf, templated } from "./prompt.ts"
import { asTold, spoken, VirtualAsking } from "./virtual-asking.ts"
import type { VirtualClock } from "./virtual-clock.ts"
import { effectClock, Sweeps } from "./virtual-time.ts"
import type { Workload } from "./workload.ts"

/** What a message takes from the clients to the gateway, or from there to a server, in milliseconds of the gateway. */
const hopMs = 0.4

/** How often the gateway looks at the work of servers that tell of it, in milliseconds. */
const lookEveryMs = 2000

/** How often servers are probed, in seconds of the servers, as the config of `bench fleet` has it. */
const probeEvery = 30

const backendOf = (name: string, { kind }: MachineSpec): Backend => ({
  name,
  url: `http://${name}`,
  type: kind,
  priority: 1,
  origin: "config",
  apiKey: undefined,
  forwardAuthorization: false,
  maxConcurrent: undefined,
  limits: { firstByteMs: 0, idleMs: 0, totalMs: 0, connectMs: 0 },
  models: []
})

// As `told.ts` has it for those who ask over HTTP.
const listedBy = ({ loaded, spec }: Machine): ReadonlyArray<Model> =>
  spec.models.map((id) => ({
    id,
    capabilities: {},
    ...(spec.kind === "llamacpp" ? { slots: spec.slots } : {}),
    ...(spec.kind === "vllm" ? { cacheTokens: spec.cacheTokens } : {}),
    ...(spec.kind === "ollama" ? { loaded: loaded().includes(id) } : {})
  }))

const settingsFor = ({ fleet, hedged = false }: Workload, speed: number): RoutingSettings => ({
  strategy: "smart",
  maxRetries: 2,
  weights: { priority: 50, load: 30, latency: 20 },
  waits: true,
  affinity: true,
  sessionHeaders: [],
  pinsSlots: true,
  aliases: new Map(),
  groups: new Map(),
  stripPrefixes: true,
  modelSuffixes: true,
  listAliases: true,
  fallbacks: new Map(),
  rules: [],
  ...(hedged
    ? {
        hedge: {
          models: new Set(fleet.flatMap(({ models }) => models)),
          maxShare: 0.05,
          minWaitMs: 500 / speed,
          clouds: false
        }
      }
    : {})
})

interface Request {
  readonly question: Question
  readonly plan: Plan
  readonly prompt: Prompt
  readonly answer: Answer
}

/** A gateway in front of machines. */
export class VirtualNexus {
  /** Requests that had to wait for a slot. */
  waited = 0
  readonly #clock: VirtualClock
  readonly #effectClock: Clock.Clock
  readonly #machines: ReadonlyArray<Machine>
  readonly #workload: Workload
  readonly #settings: RoutingSettings
  readonly #deadlines: Deadlines["Service"]
  /** Where requests wait. */
  readonly queue: SlotQueue
  readonly #hedging = new Hedging()
  readonly #conversations = new Conversations()
  readonly #random: Chance
  readonly #stuck: ReadonlyArray<Chance>
  readonly #turns = new Map<string, number>()
  readonly #looks = new Map<Machine, FullLoad>()
  #snapshot: Snapshot = emptySnapshot

  /** `performance.now` has to go by the same clock. */
  constructor(clock: VirtualClock, machines: ReadonlyArray<Machine>, workload: Workload, seed: number) {
    this.#clock = clock
    this.#effectClock = effectClock(clock)
    this.#machines = machines
    this.#workload = workload
    this.#settings = settingsFor(workload, clock.speed)
    this.#random = chanceOf(seed + 77)
    this.#stuck = machines.map((_, at) => chanceOf(seed + at))
    this.#deadlines = new Sweeps(clock)
    this.queue = new SlotQueue(
      this.#deadlines,
      () => this.#snapshot,
      () => ({ maxQueue: 1000, queueMs: 0, severalKeys: workload.keys.length > 1 }),
      this.#random,
      new QueueCounts("others")
    )
    for (const [at, { spec }] of machines.entries()) {
      this.#snapshot = withBackend(this.#snapshot, backendOf(nameOf(at), spec))
    }
    this.#probe()
    this.#look()
  }

  /** What it knows of the machines. */
  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /** The slots that it has found of each machine for each of its models; 0 where it has not. */
  get found(): ReadonlyArray<ReadonlyArray<number>> {
    return [...this.#snapshot.backends.values()].map(({ live, models }) =>
      [...models.keys()].map((id) => live.standings.get(id)?.slots.seen ?? 0)
    )
  }

  /** Asks it; resolves at the end of the answer. */
  ask(question: Question): Promise<Told> {
    const started = this.#clock.now()
    return new Promise((done) => {
      this.#hop(() => this.#arrives(question, (end) => this.#hop(() => done(this.#told(question, started, end)))))
    })
  }

  #hop(call: () => void): void {
    this.#after(hopMs, call)
  }

  #after(ms: number, call: () => void): void {
    const { at, now, speed } = this.#clock
    at(now() + (ms * speed) / 1000, call)
  }

  #told({ key }: Question, started: number, end: Ended | undefined): Told {
    return {
      key,
      started,
      first: end === undefined ? Number.NaN : end.first + (hopMs * this.#clock.speed) / 1000,
      ended: this.#clock.now(),
      status: end === undefined ? 429 : 200,
      text: end?.answer.text ?? "",
      call: end?.answer.call,
      promptTokens: end?.prompt.tokens ?? 0,
      cachedTokens: end?.cached ?? 0,
      answerTokens: end?.answer.tokens ?? 0
    }
  }

  #arrives(question: Question, done: (end: Ended | undefined) => void): void {
    const now = performance.now()
    const { body, key } = question
    const priority = this.#workload.batchKeys.includes(key) ? "batch" : "normal"
    const bytes = Buffer.from(JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }))
    const leaves = this.queue.spared.leaves(priority, key, now)
    const needs: RoutingNeeds = {
      operation: endpointFacts["chat/completions"],
      dialect: "openai",
      model: body.model,
      stream: true,
      abilities: [],
      promptTokens: Math.floor(bytes.length / 4),
      atLeastTokens: 0,
      outputTokens: 0,
      key,
      ...(leaves > 0 ? { leaves } : {})
    }
    const turn = this.#turns.get(body.model) ?? 0
    this.#turns.set(body.model, turn + 1)
    const chain = this.#conversations.sees(promptChain(bytes))
    const by = { turn, random: this.#random }
    const plan = new Plan(needs, this.#settings, this.#snapshot, by, now, undefined, undefined, { chain: () => chain })
    const request = { question, prompt: promptOf(templated(body)), answer: answerTo(body) }
    const goes = (attempt: Attempt, plan: Plan): void => this.#goes({ ...request, plan }, attempt, done)
    const chosen = this.queue.choose(plan, now)
    if (chosen === undefined) throw new Error("nobody can be asked")
    if (chosen !== "wait") return goes(chosen, plan)
    this.waited += 1
    const seeker: SlotSeeker = {
      plan,
      priority,
      key,
      session: chain.root,
      until: Infinity,
      goes,
      isOver: () => done(undefined)
    }
    if (this.queue.enter(seeker, now) instanceof Error) done(undefined)
  }

  #goes(request: Request, attempt: Attempt, done: (end: Ended | undefined) => void): void {
    const ended = ({ cached, first }: VirtualAsking): void => done({ ...request, cached, first })
    const { hedge } = this.#settings
    if (hedge === undefined) return void this.#begins(request, attempt, true, { first: () => undefined, ended })
    const { plan, question } = request
    const share = this.#hedging.share(question.body.model)
    share.comes()
    const racer: Racer = {
      // reason: a race tells them of its hedge, and nobody here asks
      record: {
        started: performance.now(),
        hedge: undefined,
        hedges: () => undefined,
        hedged: () => undefined
      } as never,
      // reason: as above
      accounting: { hedged: () => undefined } as never,
      deadlines: this.#deadlines,
      leastMs: hedge.minWaitMs,
      lateMs: ({ attempt, ticket }) =>
        this.#hedging.lateMs(attempt.candidate, plan.targetOf(attempt)?.candidates ?? [], {
          expectedMs: ticket.expectedMs,
          leastMs: hedge.minWaitMs
        }),
      spare: (attempt, left) => {
        const target = plan.targetOf(attempt)
        if (target === undefined || share.left(hedge.maxShare) < left) return undefined
        const spare = plan.spare(target, performance.now(), ({ model }) => model.loaded !== false)
        if (spare === undefined) return undefined
        share.takes()
        return spare
      },
      ask: (attempt, beside, ends) =>
        Effect.flatMap(
          Effect.callback<VirtualAsking>((resume) => {
            const asking = this.#begins(request, attempt, beside === undefined, {
              first: (asking) => resume(Effect.succeed(asking)),
              ended
            })
            ends.begun?.(asTold(asking))
            return Effect.sync(() => asking.closes())
          }),
          (asking) => ends.answered(asTold(asking), spoken)
        ),
      notes: () => undefined,
      took: ({ candidate }, ms) => this.#hedging.took(candidate, ms)
    }
    Effect.runFork(Effect.provideService(new Race(racer, attempt).end, Clock.Clock, this.#effectClock))
  }

  #begins(
    { answer, plan, prompt, question }: Request,
    attempt: Attempt,
    leads: boolean,
    told: { readonly first: (asking: VirtualAsking) => void; readonly ended: (asking: VirtualAsking) => void }
  ): VirtualAsking {
    const { model, state } = attempt.candidate
    const at = [...this.#snapshot.backends.keys()].indexOf(state.backend.name)
    const machine = this.#machines[at]
    if (machine === undefined) throw new Error(`there is no ${state.backend.name}`)
    const { kind, tail } = machine.spec
    const slots = namedSlots(state.backend, model)
    const ticket = new Ticket(state.live, model.id, performance.now(), () => undefined, {
      work: plan.work,
      onDemand: mayLoad(state.backend.type, model),
      pinning:
        slots === 0
          ? undefined
          : { slots, continues: question.body.messages.some(({ role }) => role === "assistant"), names: true },
      freed: () => this.queue.changed()
    })
    const asking = new VirtualAsking(attempt, ticket, leads)
    const unlessClosed = (call: () => void): void =>
      this.#hop(() => {
        if (!asking.isClosed) call()
      })
    const stuck = tail !== undefined && (this.#stuck[at]?.() ?? 1) < tail.share ? tail.seconds : 0
    unlessClosed(() => {
      asking.submitted = machine.submit(question.body.model, {
        prompt,
        tokens: answer.tokens,
        written: asWritten(answer),
        wantedSlot: ticket.slot,
        stuck,
        started: (cached) => {
          asking.cached = cached
        },
        begun: () =>
          unlessClosed(() => {
            asking.first = this.#clock.now()
            ticket.answered(performance.now())
            told.first(asking)
          }),
        done: () =>
          unlessClosed(() => {
            const cached = kind === "ollama" ? 0 : asking.cached
            const { tokens } = answer
            ticket.saw({ tokens: { prompt: prompt.tokens, cached, completion: tokens }, written: tokens, whole: false })
            ticket.settle("good", performance.now())
            told.ended(asking)
          })
      })
    })
    return asking
  }

  #probe(): void {
    for (const [at, machine] of this.#machines.entries()) {
      const outcome = { _tag: "Up", models: listedBy(machine), latencyMs: 1 } as const
      const { snapshot } = applyProbe(this.#snapshot, nameOf(at), outcome, { failures: 1, recoveries: 1 })
      this.#snapshot = snapshot
      const state = snapshot.backends.get(nameOf(at))
      if (state !== undefined) noteLoaded(state)
    }
    this.#clock.at(this.#clock.now() + probeEvery, () => this.#probe())
  }

  #look(): void {
    for (const [at, machine] of this.#machines.entries()) {
      const [model] = machine.spec.models
      if (machine.spec.kind !== "vllm" || model === undefined) continue
      const [running, waiting] = [machine.running(), machine.waiting()]
      const look = afterLook(this.#looks.get(machine) ?? noFullLoad, running, waiting)
      this.#looks.set(machine, look)
      const slots = slotsSeen(look)
      const load = { running, waiting, ...(slots === undefined ? {} : { slots }) }
      this.#snapshot = withSlotsSeen(this.#snapshot, nameOf(at), new Map([[model, load]]))
    }
    this.#after(lookEveryMs, () => this.#look())
  }
}

interface Ended extends Omit<Request, "plan" | "question"> {
  readonly cached: number
  readonly first: number
}

const nameOf = (at: number): string => `server-${String(at)}`
