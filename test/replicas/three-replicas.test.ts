import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { completion, json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Process, startProcess, until } from "../kit/gateway.ts"
import { startStore, storePath } from "../kit/sharedStore.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-three-replicas-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const asked = async <A>(url: string, path: string): Promise<A> => (await (await fetch(`${url}${path}`)).json()) as A

interface HealthPart {
  readonly cluster: { readonly store: { readonly status: string }; readonly replicas: ReadonlyArray<unknown> }
}

interface UsagePart {
  readonly total: { readonly requests: number; readonly completed: number }
  /** Absent where no other one is known, as for a second after the store has begun anew. */
  readonly replicas?: { readonly answered: number; readonly silent: number }
  readonly budgets: ReadonlyArray<{ readonly spent_nanos: number; readonly reserved_nanos: number }>
}

/** Asks again and again until it is so, and gives what it was then. */
const eventually = async <A>(url: string, path: string, holds: (said: A) => boolean): Promise<A> => {
  let last = await asked<A>(url, path)
  for (let tries = 0; tries < 400; tries += 1) {
    if (holds(last)) return last
    await Bun.sleep(25)
    last = await asked<A>(url, path)
  }
  throw new Error(`never so: ${JSON.stringify(last)}`)
}

/** What came of the requests to one replica: how many of each status, 0 for those that broke; and answers that were another's. */
interface Traffic {
  readonly counts: Map<number, number>
  mixed: number
  underWay: number
}

describe.skipIf(storePath === undefined)("three replicas", () => {
  test("lose nothing but what was in flight on the one that is killed, and heal when their store was", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({
      models: ["m"],
      script: (request) => [json(completion("m", /token-[\w-]+/.exec(request.text)?.[0] ?? ""))]
    })
    const start = (name: string): Promise<Process> =>
      startProcess({
        cluster: { url: store.url, replica_name: name },
        backends: [backendFor("b", upstream)],
        models: [{ name: "m", requests_per_minute: 1_000_000, max_concurrent: 1000 }],
        prices: [{ model: "*", request_usd: 1 }],
        budgets: [{ name: "all", hard_usd: 100_000 }],
        usage: { path: join(folder, `${name}.sqlite`) }
      })
    const [a, b, c] = await Promise.all(["a", "b", "c"].map(start))
    if (a === undefined || b === undefined || c === undefined) throw new Error("three were started")
    await using stack = new AsyncDisposableStack()
    for (const each of [a, b, c]) stack.use(each)
    for (const { url } of [a, b, c])
      await eventually<HealthPart>(url, "/health", ({ cluster }) => cluster.replicas.length === 3)

    let isOver = false
    const gates = new Map<Process, Promise<void>>()
    const traffics = new Map<Process, Traffic>(
      [a, b, c].map((each) => [each, { counts: new Map(), mixed: 0, underWay: 0 }])
    )
    const ask = async (gateway: Process): Promise<void> => {
      const traffic = traffics.get(gateway)
      if (traffic === undefined) return
      const token = `token-${crypto.randomUUID()}`
      traffic.underWay += 1
      const status = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "m", messages: [{ role: "user", content: token }] })
      }).then(
        async (answer) => {
          if (!(await answer.text()).includes(token)) traffic.mixed += 1
          return answer.status
        },
        () => 0
      )
      traffic.underWay -= 1
      traffic.counts.set(status, (traffic.counts.get(status) ?? 0) + 1)
    }
    const flows = [a, b, c].flatMap((gateway) =>
      [1, 2].map(async () => {
        for (;;) {
          await gates.get(gateway)
          if (isOver) return
          await ask(gateway)
        }
      })
    )
    const passed = (gateway: Process): number => traffics.get(gateway)?.counts.get(200) ?? 0
    const more = async (gateway: Process, count = 20): Promise<void> => {
      const from = passed(gateway)
      for (let tries = 0; tries < 2000 && passed(gateway) < from + count; tries += 1) await Bun.sleep(5)
      expect(passed(gateway)).toBeGreaterThanOrEqual(from + count)
    }
    await more(c)
    await store.kill()
    for (const { url } of [a, b, c])
      await eventually<HealthPart>(url, "/health", ({ cluster }) => cluster.store.status === "away")
    for (const gateway of [a, b, c]) await more(gateway)
    await store.revive()
    for (const { url } of [a, b, c])
      await eventually<HealthPart>(url, "/health", ({ cluster }) => cluster.store.status === "connected")
    for (const gateway of [a, b, c]) await more(gateway)
    const byThree = await eventually<UsagePart>(a.url, "/admin/v1/usage", ({ replicas }) => replicas?.answered === 2)
    expect(byThree.replicas?.silent).toBe(0)
    // What the one has spent that is to be killed counts from when the others know of it: they stand still meanwhile.
    let goOn = (): void => undefined
    const stop = new Promise<void>((resolve) => (goOn = resolve))
    for (const each of [a, b]) gates.set(each, stop)
    const quiet = (each: Process) => (traffics.get(each)?.underWay ?? 0) === 0
    await until(() => quiet(a) && quiet(b), "nothing is under way at two of them")
    const told = passed(c)
    const spentOf = ({ budgets }: UsagePart): number => (budgets[0]?.spent_nanos ?? 0) / 1e9
    await eventually<UsagePart>(a.url, "/admin/v1/usage", (said) => spentOf(said) >= passed(a) + passed(b) + told)
    gates.clear()
    goOn()
    c.signal("SIGKILL")
    await c.exited
    await more(a)
    await more(b)
    isOver = true
    await Promise.all(flows)

    for (const gateway of [a, b]) {
      expect([...(traffics.get(gateway)?.counts.keys() ?? [])]).toEqual([200])
      expect(traffics.get(gateway)?.mixed).toBe(0)
    }
    // Whoever asks the killed one is told nothing.
    expect([...(traffics.get(c)?.counts.keys() ?? [])].toSorted((x, y) => x - y)).toEqual([0, 200])
    await eventually<HealthPart>(a.url, "/health", ({ cluster }) => cluster.replicas.length === 2)
    const all = passed(a) + passed(b) + passed(c)
    // What is spent is known of the one that is gone as well, and nothing is counted that nobody asked for.
    const known = passed(a) + passed(b) + told
    const last = await eventually<UsagePart>(
      b.url,
      "/admin/v1/usage",
      (said) => spentOf(said) >= known && said.budgets[0]?.reserved_nanos === 0
    )
    expect(spentOf(last)).toBeLessThanOrEqual(all + 2)
    await eventually<UsagePart>(
      a.url,
      "/admin/v1/usage",
      ({ replicas, total }) => replicas?.answered === 1 && total.completed === passed(a) + passed(b)
    )
  }, 60_000)
})
