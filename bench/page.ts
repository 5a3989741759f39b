/**
 * `bun run bench page`: the live page in a real browser, before many backends, models and streams.
 *
 *     bun run bench page [--backends 200] [--models 2000] [--streams 500] [--minutes 3] [--trials 5] [--binary]
 */
import { readdirSync, readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { type Browser, type BrowserServer, type CDPSession, chromium, type Page } from "playwright-core"
import { browserPath } from "../test/kit/browserPath.ts"
import { median, quantile } from "./figures.ts"
import { type RunningNexus, smallRequest, startNexus } from "./legs.ts"
import { openLoop } from "./load.ts"
import { modelName } from "./mock.ts"
import { ready, startMockProcess } from "./processes.ts"
import { rssOf } from "./procfs.ts"
import { table } from "./report.ts"
import { readStreams } from "./streams.ts"

/** What the page notes of itself, in milliseconds each. */
interface Noted {
  /** From frame to frame. */
  readonly frames: ReadonlyArray<number>
  /** Stretches of more than 50 in which nothing else could be done. */
  readonly tasks: ReadonlyArray<number>
  /** From a key or a turn of the wheel to what it changed on the screen. */
  readonly inputs: ReadonlyArray<number>
}

// Runs in the page, before its own scripts.
const recorder = `{
  const noted = { frames: [], tasks: [], inputs: [] }
  const note = (type, list, options) =>
    new PerformanceObserver((entries) => list.push(...entries.getEntries().map(({ duration }) => duration))).observe({ type, ...options })
  note("longtask", noted.tasks, {})
  note("event", noted.inputs, { durationThreshold: 16 })
  let last = performance.now()
  const frame = (now) => {
    noted.frames.push(now - last)
    last = now
    requestAnimationFrame(frame)
  }
  requestAnimationFrame(frame)
  const watch = new MutationObserver(() => {
    if (document.querySelector("article") === null) return
    window.firstCard = performance.now()
    watch.disconnect()
  })
  watch.observe(document, { childList: true, subtree: true })
  window.takeNoted = () => {
    const told = JSON.parse(JSON.stringify(noted))
    for (const list of Object.values(noted)) list.length = 0
    return told
  }
}`

const taken = (page: Page): Promise<Noted> => page.evaluate<Noted>("window.takeNoted()")

const childrenOf = (pid: number): ReadonlyArray<number> => {
  const own = `/proc/${String(pid)}/task`
  const direct = readdirSync(own).flatMap((thread) =>
    readFileSync(`${own}/${thread}/children`, "latin1").split(" ").filter(Boolean).map(Number)
  )
  return [...direct, ...direct.flatMap(childrenOf)]
}

/** Memory of what draws pages, in MB. */
const renderersMb = (server: BrowserServer): number =>
  childrenOf(server.process().pid ?? 0)
    .filter((pid) => readFileSync(`/proc/${String(pid)}/cmdline`, "latin1").includes("--type=renderer"))
    .reduce((sum, pid) => sum + rssOf(pid), 0) / 1e6

const figuresOf = async (session: CDPSession): Promise<(name: string) => number> => {
  const { metrics } = await session.send("Performance.getMetrics")
  const known = new Map(metrics.map(({ name, value }) => [name, value]))
  return (name) => known.get(name) ?? Number.NaN
}

const elementsOf = (page: Page): Promise<number> => page.evaluate<number>("document.querySelectorAll('*').length")

/** What the page holds in objects and in the document, after what nobody needs has been collected. */
const heldBy = async (page: Page, session: CDPSession) => {
  await session.send("HeapProfiler.collectGarbage")
  const figures = await figuresOf(session)
  return { heapMb: figures("JSHeapUsedSize") / 1e6, elements: await elementsOf(page) }
}

const opened = async (browser: Browser, url: string): Promise<Page> => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  const page = await context.newPage()
  await page.addInitScript(recorder)
  await page.goto(url)
  await page.locator("article").first().waitFor()
  return page
}

/** When a page that nobody had open is first seen, and when it shows the first backend; medians in milliseconds. */
const firstSeen = async (browser: Browser, url: string, trials: number) => {
  const [paints, cards]: [Array<number>, Array<number>] = [[], []]
  for (let trial = 0; trial < trials; trial += 1) {
    const page = await opened(browser, url)
    const [paint = Number.NaN, card = Number.NaN] = await page.evaluate<ReadonlyArray<number>>(
      "[performance.getEntriesByName('first-contentful-paint')[0]?.startTime, window.firstCard]"
    )
    paints.push(paint)
    cards.push(card)
    await page.context().close()
  }
  return { paint: median(paints), card: median(cards) }
}

/** Follows the events beside the page for some seconds; what comes in a second. */
const eventsOf = async (gateway: RunningNexus, seconds: number) => {
  const signal = AbortSignal.timeout(seconds * 1000)
  const sums = { bytes: 0, events: 0, largest: 0 }
  let begun = Number.NaN
  let isWhole = false
  try {
    const answer = await fetch(`http://127.0.0.1:${String(gateway.port)}/admin/v1/events`, { signal })
    const decoder = new TextDecoder()
    let rest = ""
    for await (const piece of answer.body ?? []) {
      const parts = (rest + decoder.decode(piece, { stream: true })).split("\n\n")
      rest = parts.pop() ?? ""
      for (const part of parts.filter((each) => each.includes("\ndata: "))) {
        if (isWhole) {
          sums.bytes += part.length + 2
          sums.events += 1
          sums.largest = Math.max(sums.largest, part.length)
        } else {
          // The first tells everything.
          isWhole = true
          begun = performance.now()
        }
      }
    }
  } catch {
    // The time is over.
  }
  const lasted = (performance.now() - begun) / 1000
  return { bytes: sums.bytes / lasted, events: sums.events / lasted, largest: sums.largest }
}

interface Doing {
  readonly name: string
  readonly view: string
  readonly does: (page: Page) => Promise<unknown>
}

const steps = 40

const wheel = async (page: Page, at: string): Promise<void> => {
  await page.locator(at).first().hover()
  for (let step = 0; step < steps; step += 1) {
    await page.mouse.wheel(0, step < steps / 2 ? 400 : -400)
    await page.waitForTimeout(50)
  }
}

const filter = async (page: Page, words: string): Promise<void> => {
  const field = page.getByRole("searchbox").first()
  await field.click()
  for (let turn = 0; turn < 4; turn += 1) {
    await field.pressSequentially(words, { delay: 60 })
    for (const _ of words) await page.keyboard.press("Backspace", { delay: 30 })
  }
}

const doings: ReadonlyArray<Doing> = [
  { name: "fleet, looked at", view: "fleet", does: (page) => page.waitForTimeout(10_000) },
  { name: "fleet, scrolled", view: "fleet", does: (page) => wheel(page, "article") },
  { name: "fleet, filtered", view: "fleet", does: (page) => filter(page, "mock-19") },
  { name: "requests, looked at", view: "requests", does: (page) => page.waitForTimeout(10_000) },
  { name: "requests, scrolled", view: "requests", does: (page) => wheel(page, ".list") },
  { name: "requests, filtered", view: "requests", does: (page) => filter(page, "mock-19") },
  { name: "models, looked at", view: "models", does: (page) => page.waitForTimeout(10_000) },
  { name: "models, scrolled", view: "models", does: (page) => wheel(page, ".list") },
  { name: "models, filtered", view: "models", does: (page) => filter(page, "bench-19") }
]

const ms = (value: number): string => (Number.isFinite(value) ? value.toFixed(0) : "–")

const rowOf = async (page: Page, session: CDPSession, { does, name, view }: Doing): Promise<ReadonlyArray<string>> => {
  await page.evaluate(`window.location.hash = "#/${view}"`)
  await page.waitForTimeout(1000)
  await taken(page)
  const before = await figuresOf(session)
  const begun = performance.now()
  await does(page)
  const seconds = (performance.now() - begun) / 1000
  const { frames, inputs, tasks } = await taken(page)
  const after = await figuresOf(session)
  // Processor time of its one thread, which others on the machine do not change.
  const spent = (...names: ReadonlyArray<string>): string =>
    ms((names.reduce((sum, each) => sum + after(each) - before(each), 0) * 1000) / seconds)
  return [
    name,
    spent("TaskDuration"),
    spent("ScriptDuration"),
    spent("LayoutDuration", "RecalcStyleDuration"),
    (frames.length / seconds).toFixed(0),
    ms(quantile(frames, 0.95)),
    ms(Math.max(...frames)),
    String(tasks.length),
    ms(Math.max(...tasks)),
    ms(quantile(inputs, 0.95)),
    String(await elementsOf(page))
  ]
}

/** Runs what the arguments say. */
export const page = async (args: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      backends: { type: "string", default: "200" },
      models: { type: "string", default: "2000" },
      streams: { type: "string", default: "500" },
      minutes: { type: "string", default: "3" },
      trials: { type: "string", default: "5" },
      binary: { type: "boolean", default: false }
    }
  })
  if (browserPath === undefined) throw new Error("no Chromium is here; CHROMIUM names one")
  const numbers = [values.backends, values.models, values.streams, values.minutes, values.trials].map(Number)
  if (!numbers.every((each) => each >= 1)) throw new Error("each number is at least 1")
  const [backends = 1, models = 1, streams = 1, minutes = 1, trials = 1] = numbers
  const each = Math.ceil(models / backends)
  const mock = await startMockProcess()
  const gateway = startNexus(values.binary ? "binary" : "nexus", {
    mockPort: mock.port,
    backendLines: Array.from({ length: backends }, (_, at) => [
      "[[backends]]",
      `name = "mock-${String(at)}"`,
      `url = "http://127.0.0.1:${String(mock.port)}/b${String(at)}/models-${String(each)}-from-${String(at * each)}"`
    ]).flat()
  })
  const server = await chromium.launchServer({ executablePath: browserPath, args: ["--no-sandbox"] })
  try {
    await ready(gateway, smallRequest())
    const url = `http://127.0.0.1:${String(gateway.port)}/ui/`
    const browser = await chromium.connect(server.wsEndpoint())
    const calm = await firstSeen(browser, url, trials)
    const groups = 20
    const opening = Array.from({ length: groups }, (_, group) => {
      const open = Promise.withResolvers<void>()
      const load = readStreams({
        port: gateway.port,
        model: modelName(Math.floor((group * backends) / groups) * each),
        streams: Math.ceil(streams / groups),
        frames: 1e6,
        every: 100,
        allOpen: () => open.resolve()
      })
      return { open: open.promise, load }
    })
    await Promise.all(opening.map(({ open }) => open))
    void openLoop(gateway.port, smallRequest(modelName(each)), 10, minutes * 60 + 120, 4).catch(() => undefined)
    const busy = await firstSeen(browser, url, trials)
    const tab = await opened(browser, url)
    const session = await tab.context().newCDPSession(tab)
    await session.send("Performance.enable", { timeDomain: "threadTicks" })
    const rows: Array<ReadonlyArray<string>> = []
    for (const doing of doings) rows.push(await rowOf(tab, session, doing))
    await tab.evaluate(`window.location.hash = "#/fleet"`)
    await tab.waitForTimeout(5000)
    const [before, beforeMb] = [await heldBy(tab, session), renderersMb(server)]
    const told = await eventsOf(gateway, 10)
    await tab.waitForTimeout(minutes * 60_000)
    const [after, afterMb] = [await heldBy(tab, session), renderersMb(server)]
    console.log(
      [
        `\n### page: ${String(backends)} backends, ${String(each * backends)} models, ${String(streams)} streams of 10 pieces a second, 10 requests a second\n`,
        table([
          ["", "nothing under way", "all under way"],
          ["first paint (ms)", ms(calm.paint), ms(busy.paint)],
          ["first backend shown (ms)", ms(calm.card), ms(busy.card)]
        ]),
        "",
        table([
          [
            "",
            "busy (ms/s)",
            "of it script",
            "layout",
            "frames/s",
            "frame p95 (ms)",
            "longest",
            "tasks > 50 ms",
            "longest (ms)",
            "input to paint p95 (ms)",
            "elements"
          ],
          ...rows
        ]),
        "",
        table([
          ["events", "a second"],
          ["number", told.events.toFixed(1)],
          ["KB", (told.bytes / 1000).toFixed(0)],
          ["largest (KB)", (told.largest / 1000).toFixed(0)]
        ]),
        "",
        table([
          ["memory of the tab", "at first", `after ${String(minutes)} min`],
          ["objects (MB)", before.heapMb.toFixed(1), after.heapMb.toFixed(1)],
          ["processes that draw (MB)", beforeMb.toFixed(0), afterMb.toFixed(0)],
          ["elements", String(before.elements), String(after.elements)]
        ])
      ].join("\n")
    )
    await browser.close()
  } finally {
    await server.close()
    await gateway.stop()
    await mock.stop()
  }
}
