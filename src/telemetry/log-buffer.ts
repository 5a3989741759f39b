/**
 * Lines wait here, in a bounded ring, until the sink takes them: a log reader that stalls costs lines, never time.
 */

/** Takes text without blocking and calls `done` once it has been handed over; with `failed` when it could not be, or in part. */
export type LogSink = (text: string, done: (failed?: boolean) => void) => void

/** Why lines were lost: their reader took too long, or they could not be written, as on a full disk. */
export type LossReason = "slow" | "unwritten"

/** Most characters that wait; beyond them the oldest lines are dropped. */
export const maxWaiting = 1024 * 1024

const maxChunk = 64 * 1024

/**
 * A bounded queue of lines in front of `sink`; `lost` makes the line that reports how many were, and why, `later` calls back
 * after a moment.
 */
export const makeLogBuffer = (
  sink: LogSink,
  lost: (count: number, why: LossReason) => string,
  later: (call: () => void) => void = queueMicrotask
) => {
  const waiting: Array<string> = []
  let head = 0
  let size = 0
  let dropped = 0
  let unwritten = 0
  let busy = false
  let gathering = false
  let idle: Array<() => void> = []
  let making: (() => void) | undefined
  const make = (): void => {
    const lines = making
    making = undefined
    lines?.()
  }
  const take = (): string => {
    if (head === waiting.length) return ""
    let chunk = dropped === 0 ? "" : `${lost(dropped, "slow")}\n`
    // Half a line may be all that was written of those: what follows stands in a line of its own.
    if (unwritten > 0) chunk = `\n${lost(unwritten, "unwritten")}\n${chunk}`
    dropped = 0
    unwritten = 0
    while (head < waiting.length && chunk.length < maxChunk) {
      const line = waiting[head++] ?? ""
      size -= line.length
      chunk += `${line}\n`
    }
    if (head > 1024 || head === waiting.length) {
      waiting.splice(0, head)
      head = 0
    }
    return chunk
  }
  const pump = (): void => {
    if (idle.length > 0) make()
    const told = unwritten + dropped
    const own = (unwritten > 0 ? 2 : 0) + (dropped > 0 ? 1 : 0)
    const chunk = take()
    busy = chunk !== ""
    if (busy)
      return sink(chunk, (failed) => {
        if (failed === true) unwritten = told + chunk.split("\n").length - 1 - own
        pump()
      })
    if (making !== undefined) gather()
    const waiters = idle
    idle = []
    for (const wake of waiters) wake()
  }
  const add = (line: string): void => {
    waiting.push(line)
    size += line.length
    while (size > maxWaiting) {
      const oldest = waiting[head++] ?? ""
      size -= oldest.length
      dropped += oldest.split("\n").length
    }
  }
  const begin = (): void => {
    if (busy || head === waiting.length) return
    busy = true
    queueMicrotask(pump)
  }
  const gather = (): void => {
    if (busy || gathering) return
    gathering = true
    later(() => {
      // What is made leaves now: it waits for nothing more.
      try {
        make()
      } finally {
        gathering = false
        begin()
      }
    })
  }
  return {
    /** Adds a line; it leaves in a later turn of the event loop, together with others. */
    push: (line: string): void => {
      make()
      add(line)
      begin()
    },
    /** Adds lines that leave after a moment, unless another one is sent before: one write for many of them. */
    pushLater: (lines: string): void => {
      add(lines)
      if (size >= maxChunk) begin()
      else gather()
    },
    /** Has lines made and added by `lines` after a moment, or before another one is added: many at a time cost less. */
    makeLater: (lines: () => void): void => {
      if (making !== lines) make()
      making = lines
      gather()
    },
    /** Resolves when nothing waits any more. */
    flushed: (): Promise<void> => {
      make()
      begin()
      return busy ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve()
    }
  }
}

const ignore = (): void => undefined

/** Standard error as a sink; a reader that has gone away is no error of ours. */
export const stderrSink = (): LogSink => {
  if (!process.stderr.listeners("error").includes(ignore)) process.stderr.on("error", ignore)
  return (text, done) => {
    process.stderr.write(text, (error) => done(error instanceof Error))
  }
}
