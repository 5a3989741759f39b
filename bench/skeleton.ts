/**
 * What it costs to hold a request in an Effect: acquired, used, released, ended by interruption; against a plain async
 * function that does the same with `try` and `finally`. Nobody does anything in between.
 *
 *     bun bench/skeleton.ts <plain|effect> <seconds>
 */
import { Effect, Exit } from "effect"

/** What a request holds while it is under way. */
interface Held {
  readonly id: number
  isOpen: boolean
}

const held = new Set<Held>()
let next = 0

const acquire = (): Held => {
  next += 1
  const one: Held = { id: next, isOpen: true }
  held.add(one)
  return one
}

const release = (one: Held): void => {
  one.isOpen = false
  held.delete(one)
}

/** The work of a request: it answers, and its answer ends two turns later. */
const work = async ({ id }: Held, respond: (answer: number) => void): Promise<void> => {
  await Promise.resolve()
  respond(id)
  await Promise.resolve()
}

type Handle = () => Promise<number>

const plain: Handle = () =>
  new Promise((respond, reject) => {
    const request = async (): Promise<void> => {
      const one = acquire()
      try {
        await work(one, respond)
      } finally {
        release(one)
      }
    }
    request().catch(reject)
  })

const run = Effect.runForkWith(await Effect.runPromise(Effect.context<never>()))

const effect: Handle = () =>
  new Promise((respond, reject) => {
    const fiber = run(
      Effect.acquireUseRelease(
        Effect.sync(acquire),
        (one) =>
          Effect.callback<void>((resume) => {
            work(one, respond).then(
              () => resume(Effect.void),
              (defect: unknown) => resume(Effect.die(defect))
            )
            return Effect.sync(() => release(one))
          }),
        (one) => Effect.sync(() => release(one))
      )
    )
    fiber.addObserver((exit) => {
      if (Exit.isFailure(exit)) reject(new Error("a request failed"))
    })
  })

const cpu = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}

const atATime = 32

/** Processor time of a request, in microseconds. */
const measure = async (handle: Handle, seconds: number): Promise<number> => {
  const until = performance.now() + seconds * 1000
  const before = cpu()
  let done = 0
  while (performance.now() < until) {
    // As from the event loop: requests come, and what they left behind runs before the next ones.
    for (let turn = 0; turn < 10; turn += 1) {
      await Promise.all(Array.from({ length: atATime }, handle))
      done += atATime
    }
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
  if (held.size > 0) throw new Error(`${String(held.size)} requests were not released`)
  return (cpu() - before) / done
}

if (import.meta.main) {
  const [which = "", seconds = "1"] = process.argv.slice(2)
  const handle = which === "effect" ? effect : plain
  await measure(handle, Number(seconds) / 2)
  const request = await measure(handle, Number(seconds))
  console.log(JSON.stringify({ request, all: cpu() }))
  process.exit(0)
}
