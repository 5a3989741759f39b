/**
 * The command line as a user runs it, in a directory of its own.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { program as usual, type Program } from "./program.ts"

const environment = (): Record<string, string> => {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("NEXUS_"))
  return { ...Object.fromEntries(kept.map(([name, value]) => [name, value ?? ""])), NO_COLOR: "1" }
}

/** The lines of an output. */
export const lines = (text: string): ReadonlyArray<string> => text.trimEnd().split("\n")

/** A directory and the processes that run in it; to be closed when the tests of a file are done. */
export const makeShell = (program: Program = usual) => {
  const cwd = mkdtempSync(join(tmpdir(), "nexus-cli-"))
  const running = new Set<Bun.Subprocess>()
  const startWith = (
    env: Readonly<Record<string, string>>,
    args: ReadonlyArray<string>,
    by: ReadonlyArray<string> = [],
    stdin: "ignore" | Blob = "ignore"
  ) => {
    const child = Bun.spawn([...by, ...program, ...args], {
      cwd,
      env: { ...environment(), ...env },
      stdin,
      stdout: "pipe",
      stderr: "pipe",
      // A gateway serves all tests of a file, and a busy machine takes its time.
      timeout: 240_000
    })
    running.add(child)
    void child.exited.then(() => running.delete(child))
    return child
  }
  const start = (...args: ReadonlyArray<string>) => startWith({}, args)
  const ended = async (child: ReturnType<typeof start>) => {
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    return { code: await child.exited, stdout, stderr }
  }
  const saying = async (child: ReturnType<typeof start>, pattern: RegExp) => {
    const decoder = new TextDecoder()
    const reader = child.stdout.getReader()
    let text = ""
    let found = pattern.exec(text)
    while (found === null) {
      const { value, done } = await reader.read()
      if (done) throw new Error(`never said ${pattern.source}: ${text}${await new Response(child.stderr).text()}`)
      text += decoder.decode(value, { stream: true })
      found = pattern.exec(text)
    }
    reader.releaseLock()
    return { child, found: found[1] ?? "", text }
  }
  const servingWith = async (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) => {
    const child = startWith(env, ["serve", "--port", "0", ...args])
    const decoder = new TextDecoder()
    const reader = child.stdout.getReader()
    let text = ""
    while (!/\d+ backends?, /.test(text)) {
      const { value, done } = await reader.read()
      if (done) throw new Error(`no banner: ${text}${await new Response(child.stderr).text()}`)
      text += decoder.decode(value, { stream: true })
    }
    reader.releaseLock()
    const url = /listens on (\S+)/.exec(text)?.[1] ?? ""
    return { child, url, port: new URL(url).port, banner: text }
  }
  return {
    cwd,
    /** Starts a command. */
    start,
    /** Starts a command; resolves once what it says matches, with what the pattern captures first. */
    startUntil: (pattern: RegExp, ...args: ReadonlyArray<string>) => saying(start(...args), pattern),
    /** The same, where no file may become larger than so many times 512 bytes. */
    startLimited: (blocks: number, pattern: RegExp, ...args: ReadonlyArray<string>) =>
      saying(startWith({}, args, ["sh", "-c", `ulimit -f ${blocks}; exec "$@"`, "sh"]), pattern),
    /** Runs a command to its end. */
    nexus: (...args: ReadonlyArray<string>) => ended(start(...args)),
    /** Runs a command to its end, with these variables. */
    nexusWith: (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) => ended(startWith(env, args)),
    /** Runs a command to its end that is fed this. */
    fed: (input: string, ...args: ReadonlyArray<string>) => ended(startWith({}, args, [], new Blob([input]))),
    /** Runs a command whose standard output is this file. */
    onto: async (file: string, ...args: ReadonlyArray<string>) => {
      const child = Bun.spawn([...program, ...args], {
        cwd,
        env: environment(),
        stdin: "ignore",
        stdout: Bun.file(file),
        stderr: "pipe",
        timeout: 60_000
      })
      running.add(child)
      void child.exited.then(() => running.delete(child))
      const stderr = await new Response(child.stderr).text()
      return { code: await child.exited, stderr }
    },
    /** Runs a command into a pipe that the shell reads with `reader`; how the command itself ended. */
    piped: async (reader: string, ...args: ReadonlyArray<string>) => {
      const script = `"$@" | ${reader}; exit "\${PIPESTATUS[0]}"`
      const child = Bun.spawn(["bash", "-c", script, "bash", ...program, ...args], {
        cwd,
        env: environment(),
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
        timeout: 60_000
      })
      running.add(child)
      const stderr = await new Response(child.stderr).text()
      const code = await child.exited
      running.delete(child)
      return { code, stderr }
    },
    /** Starts a gateway on a free port; resolves once its banner is whole. */
    serving: (...args: ReadonlyArray<string>) => servingWith({}, ...args),
    /** The same with these variables. */
    servingWith,
    /** Writes a config with these backends, at whose address no gateway runs, and gives its name. */
    tomlFor: (file: string, backends: Readonly<Record<string, string>>): string => {
      const entries = Object.entries(backends).map(([name, url]) => `[[backends]]\nname = "${name}"\nurl = "${url}"\n`)
      writeFileSync(join(cwd, file), `[server]\nport = 1\n[discovery]\nenabled = false\n\n${entries.join("\n")}`)
      return file
    },
    /** Ends what still runs and removes the directory. */
    close: async () => {
      for (const child of running) child.kill("SIGKILL")
      await Promise.all([...running].map(({ exited }) => exited))
      rmSync(cwd, { recursive: true, force: true })
    }
  }
}
