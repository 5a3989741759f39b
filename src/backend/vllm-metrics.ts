/**
 * What vLLM's `/metrics` tells of its work, its cache and its sleep; it may have several engines, each with a share of both.
 */
import * as Schema from "effect/Schema"
import type { Model, ToldLoads } from "../domain/server.ts"
import { cacheOf, loadOf, RequestCount, sumOf, withTold } from "./lenient.ts"
import { type Sample, samplesIn, wholeLabel } from "./metrics-text.ts"

/** The highest number of requests that a server was seen to work on while others waited. */
export interface FullLoad {
  readonly highest: number
  /** In how many looks it was that many, up to {@link enoughLooks}. */
  readonly looks: number
}

/** Nothing has been seen yet. */
export const noFullLoad: FullLoad = { highest: 0, looks: 0 }

/** Looks that bear a number out: requests also wait for a moment when they have just come, or a long prompt is computed. */
const enoughLooks = 2

/** Takes up one look. What is surpassed was not all that it can do, whether anything waits or not. */
export const afterLook = (before: FullLoad, running: number, waiting: number): FullLoad => {
  const { highest, looks } = before
  if (running > highest) {
    if (looks >= enoughLooks) return { highest: running, looks }
    return waiting > 0 ? { highest: running, looks: 1 } : noFullLoad
  }
  return waiting > 0 && running === highest && running > 0 && looks < enoughLooks
    ? { highest, looks: looks + 1 }
    : before
}

/** How many requests it works on at once; undefined while it has not been seen full. */
export const slotsSeen = ({ highest, looks }: FullLoad): number | undefined =>
  looks >= enoughLooks ? highest : undefined

const names = {
  running: "vllm:num_requests_running",
  waiting: "vllm:num_requests_waiting",
  cache: "vllm:cache_config_info",
  sleep: "vllm:engine_sleep_state"
} as const

const wanted: ReadonlySet<string> = new Set(Object.values(names))

/** What one engine works on. */
interface Engine {
  readonly id: string
  readonly running: number | undefined
  readonly waiting: number | undefined
}

/** What a text of metrics tells. */
interface VllmMetrics {
  /** The engines of each model, by the name that the server has for it. */
  readonly models: ReadonlyMap<string, ReadonlyArray<Engine>>
  /** In tokens. */
  readonly cacheTokens: number | undefined
  /** Whether its weights are in memory. */
  readonly awake: boolean | undefined
}

const isRequests = Schema.is(RequestCount)

const requests = (sample: Sample | undefined): number | undefined =>
  isRequests(sample?.value) ? sample?.value : undefined

const engineOf = ({ labels }: Sample): string => labels.get("engine") ?? ""

const modelOf = ({ labels }: Sample): string => labels.get("model_name") ?? ""

// An engine whose number of blocks is given has as many tokens, whatever their layout.
const tokensOf = (sample: Sample): number | undefined => {
  const told = wholeLabel(sample, "kv_cache_size_tokens")
  if (told !== undefined && told > 0) return told
  const blocks = wholeLabel(sample, "num_gpu_blocks")
  const size = wholeLabel(sample, "block_size")
  return blocks === undefined || size === undefined ? undefined : blocks * size
}

const isAwake = (samples: ReadonlyArray<Sample>): boolean | undefined => {
  if (samples.some(({ value }) => value !== 0 && value !== 1)) return undefined
  const states = samples.filter(({ value }) => value === 1).map(({ labels }) => labels.get("sleep_state"))
  return states.length === 0 ? undefined : states.every((state) => state === "awake")
}

/** Reads `/metrics`; undefined when nothing in it is of vLLM. */
export const readMetrics = (text: string): VllmMetrics | undefined => {
  const samples = samplesIn(text, wanted)
  if (samples.length === 0) return undefined
  const of = (name: string) => samples.filter((sample) => sample.name === name)
  const running = of(names.running)
  const waiting = of(names.waiting)
  const models = new Map<string, ReadonlyArray<Engine>>()
  for (const [model, engines] of Map.groupBy(running, modelOf)) {
    const all = engines.map((sample) => {
      const id = engineOf(sample)
      const queue = waiting.find((other) => modelOf(other) === model && engineOf(other) === id)
      return { id, running: requests(sample), waiting: requests(queue) }
    })
    models.set(model, all)
  }
  return { models, cacheTokens: cacheOf(of(names.cache).map(tokensOf)), awake: isAwake(of(names.sleep)) }
}

/** What has been seen of each engine, by its model and its id. */
export type SeenEngines = ReadonlyMap<string, FullLoad>

const keyOf = (model: string, { id }: Engine): string => JSON.stringify([model, id])

/** Takes up what a text of metrics shows; engines that are no longer there are forgotten. */
export const afterMetrics = (seen: SeenEngines, { models }: VllmMetrics): SeenEngines => {
  const after = new Map<string, FullLoad>()
  for (const [model, engines] of models) {
    for (const engine of engines) {
      const { running, waiting } = engine
      const key = keyOf(model, engine)
      const before = seen.get(key) ?? noFullLoad
      after.set(key, running === undefined || waiting === undefined ? before : afterLook(before, running, waiting))
    }
  }
  return after
}

/** What the server works on, by the names of its models. */
const loadsOf = ({ models }: VllmMetrics, seen: SeenEngines): ToldLoads =>
  new Map(
    [...models].map(([model, engines]) => [
      model,
      loadOf(
        sumOf(engines.map(({ running }) => running)),
        sumOf(engines.map(({ waiting }) => waiting)),
        sumOf(engines.map((engine) => slotsSeen(seen.get(keyOf(model, engine)) ?? noFullLoad)))
      )
    ])
  )

/** The same by the ids of the models that it lists: a model's other names and its adapters have no figures of their own. */
export const loadsById = (metrics: VllmMetrics, seen: SeenEngines, ids: ReadonlyArray<string>): ToldLoads => {
  const loads = loadsOf(metrics, seen)
  const only = loads.size === 1 ? [...loads.values()][0] : undefined
  return new Map(
    ids.flatMap((id) => {
      const load = loads.get(id) ?? only
      return load === undefined ? [] : [[id, load]]
    })
  )
}

/** A model with what the metrics tell of it. */
export const withMetrics = (model: Model, { awake, cacheTokens }: VllmMetrics, loads: ToldLoads): Model =>
  withTold(model, { slots: loads.get(model.id)?.slots, cacheTokens, loaded: awake })
