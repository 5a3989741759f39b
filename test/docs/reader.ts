/**
 * A reader who types what a page says: in a directory and a home of their own, with a gateway running.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { programInShell } from "../kit/program.ts"
import { makeShell } from "../kit/shell.ts"
import { scriptOf } from "./pages.ts"

// `nexus serve` would run for ever: here it has to come up on a port of its own, and to end at SIGTERM as it should.
const nexusScript = `#!/bin/bash
if [ "$1" != serve ]; then exec ${programInShell} "$@"; fi
exec 3< <(NEXUS_PORT=0 exec ${programInShell} "$@" 2>&1)
pid=$!
grep -m1 'listens on' <&3
kill -TERM "$pid"
cat <&3
wait "$pid"
`

const bunScript = `#!/bin/bash
if [ "$1 $2" = 'run nexus' ]; then shift 2; exec nexus "$@"; fi
echo "bun $*: of bun, only 'bun run nexus' is run here" >&2
exit 97
`

const npxScript = `#!/bin/bash
echo "npx $*: nothing is fetched here" >&2
exit 97
`

const programs = { nexus: nexusScript, bun: bunScript, npx: npxScript, npm: npxScript }

/** Starts the gateway and makes the programs; to be closed in the end. */
export const makeReader = async () => {
  const shell = makeShell()
  const { port } = await shell.serving("--demo", "--no-discovery")
  const home = mkdtempSync(join(tmpdir(), "nexus-reader-"))
  const bin = join(home, "bin")
  mkdirSync(bin)
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(bin, name), text)
    chmodSync(join(bin, name), 0o755)
  }
  return {
    /** A directory to type in. */
    directory: (): string => mkdtempSync(join(home, "page-")),
    /** Types the commands of a block; gives the exit code and all that was shown. */
    run: async (text: string, cwd: string) => {
      const child = Bun.spawn(["/bin/bash", "-c", scriptOf(text, port)], {
        cwd,
        env: {
          PATH: `${bin}:/usr/local/bin:/usr/bin:/bin`,
          HOME: home,
          XDG_CONFIG_HOME: join(home, "config"),
          TMPDIR: home,
          NEXUS_PORT: port,
          NO_COLOR: "1",
          LANG: "C.UTF-8"
        },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
        timeout: 100_000
      })
      const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
      return { code: await child.exited, stdout, said: stdout + stderr }
    },
    close: async (): Promise<void> => {
      await shell.close()
      rmSync(home, { recursive: true, force: true })
    }
  }
}

/** Somebody who types what a page says. */
export type Reader = Awaited<ReturnType<typeof makeReader>>
