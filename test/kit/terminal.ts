/**
 * The command line on a terminal of its own.
 */
import { tmpdir } from "node:os"
import { program } from "./program.ts"

/** A command that runs on a terminal. */
export interface Terminal {
  /** All that has been written to the terminal. */
  readonly output: () => string
  /** What was drawn, each time from the upper left corner, line by line; the last may not be whole. */
  readonly frames: () => ReadonlyArray<ReadonlyArray<string>>
  readonly resize: (columns: number, rows: number) => void
  /** Presses these keys, one after the other. */
  readonly type: (keys: string) => void
  readonly kill: (signal: NodeJS.Signals) => void
  /** Its exit code, once all that it wrote has been read. */
  readonly exited: Promise<number>
  readonly close: () => Promise<void>
}

const endMark = "-- end of the command --"

/** Runs a command on a terminal of this size. */
export const onTerminal = (
  { columns, rows }: { readonly columns: number; readonly rows: number },
  ...args: ReadonlyArray<string>
): Terminal => {
  const decoder = new TextDecoder()
  let output = ""
  const read = Promise.withResolvers<void>()
  const terminal = new Bun.Terminal({
    cols: columns,
    rows,
    data: (_, bytes) => {
      output += decoder.decode(bytes, { stream: true })
      if (!output.endsWith(endMark)) return
      output = output.slice(0, -endMark.length)
      read.resolve()
    }
  })
  const kept = Object.entries(process.env).filter(([name]) => !/^NEXUS_|^(NO|FORCE)_COLOR$/.test(name))
  const child = Bun.spawn([...program, ...args], {
    cwd: tmpdir(),
    env: { ...Object.fromEntries(kept.map(([name, value]) => [name, value ?? ""])), TERM: "xterm-256color" },
    terminal
  })
  return {
    output: () => output,
    frames: () =>
      output
        .split("\u001b[H")
        .slice(1)
        .map((frame) => (frame.split("\u001b[J")[0] ?? "").replaceAll("\u001b[K", "").split("\r\n")),
    // Whoever is not the leader of the terminal's session is told by nobody else.
    resize: (cols, lines) => {
      terminal.resize(cols, lines)
      child.kill("SIGWINCH")
    },
    type: (keys) => {
      terminal.write(keys)
    },
    kill: (signal) => child.kill(signal),
    exited: child.exited.then(async (code) => {
      // A terminal tells of no end; what is written to it later is read later.
      await Bun.spawn(["printf", endMark], { terminal }).exited
      await read.promise
      return code
    }),
    close: async () => {
      child.kill("SIGKILL")
      await child.exited
      terminal.close()
    }
  }
}
