/**
 * Lines wait here, in a bounded ring, until the sink takes them: a log reader that stalls costs lines, never time.
 */

/** Takes text without blocking and calls `done` once it has been handed over, or could not be. */
export type LogSink = (text: string, done: () => void) => void

/** Most characters that wait; beyond them the oldest lines are dropped. */
export const maxWaiting = 1024 * 1024

const maxChunk = 64 * 1024

/**
 * A bounded queue of lines in front of `sink`; `lost` makes the line that reports how many were dropped, `later` calls back
 * after a moment.
 */
export const makeLogBuffer = (
  sink: LogSink,
  lost: (count: number) => string,
  later: (call: () => void) => void = queueMicrotask
) => {
  const waiting: Array<string> = []
  let head = 0
  let size = 0
  let dropped = 0
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
    let chunk = dropped === 0 ? "" : `${lost(dropped)}\n`
    dropped = 0
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
    const chunk = take()
    busy = chunk !== ""
    if (busy) return sink(chunk, pump)
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
    process.stderr.write(text, () => done())
  }
}
