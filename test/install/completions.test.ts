import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Option } from "effect"
import { Argument, Command } from "effect/cli"
import fc from "fast-check"
import { gatewayFlagsIn } from "../../src/cli/completion/complete.ts"
import { completionScript } from "../../src/cli/completion/completions.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, until } from "../kit/gateway.ts"
import { programInShell } from "../kit/program.ts"
import { dial } from "../kit/rawClient.ts"
import { lines, makeShell } from "../kit/shell.ts"

setDefaultTimeout(120_000)

const odd = ["llama3:70b", "llama3:8b", "it's a model", 'qu"ote', "dollar$x", "org/mo-del", "back\\slash", "two\nlines"]

const cli = makeShell()
const home = mkdtempSync(join(tmpdir(), "nexus-shell-"))
let upstream: FakeUpstream
let gateway: Gateway
let port: string

beforeAll(async () => {
  upstream = await startUpstream({ models: odd })
  gateway = await startGateway({
    routing: { aliases: { "gpt-4": "llama3:8b" } },
    backends: [
      backendFor("first", upstream),
      backendFor("f-2.b", { url: upstream.url.replace("127.0.0.1", "localhost") })
    ]
  })
  port = String(gateway.port)
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
  await cli.close()
  rmSync(home, { recursive: true, force: true })
})

// Who does not answer within a second is left out, as a gateway on a busy machine may be: it is asked again.
const asked = async <A>(ask: () => Promise<A>, isAnswered: (answer: A) => boolean): Promise<A> => {
  let answer = await ask()
  for (let more = 5; more > 0 && !isAnswered(answer); more -= 1) answer = await ask()
  return answer
}

const complete = (...words: ReadonlyArray<string>) =>
  asked(
    () => cli.nexus("complete", ...words),
    ({ stdout }) => stdout !== ""
  )

describe("nexus complete", () => {
  test("tells the names the running gateway knows, one a line, and none that would take two", async () => {
    const models = await complete("models", "--", "nexus", "explain", "-p", port, "-m")
    expect(lines(models.stdout).toSorted()).toEqual([...odd.filter((name) => !name.includes("\n")), "gpt-4"].toSorted())
    const backends = await complete("backends", "--", "nexus", "models", `--port=${port}`)
    expect({ ...backends, stdout: lines(backends.stdout) }).toEqual({ code: 0, stdout: ["first", "f-2.b"], stderr: "" })
  })

  test("adds the aliases of the gateway, and finds it by the config that the line names", async () => {
    writeFileSync(join(cli.cwd, "it's.toml"), `[server]\nport = ${port}\n`)
    const { stdout } = await complete("models", "--", "nexus", "explain", "-c", `"it's.toml"`)
    expect(lines(stdout)).toContain("gpt-4")
  })

  test.each([
    ["no gateway runs", ["-p", "1"]],
    ["the config is not there", ["-c", "none.toml"]],
    ["the port is none", ["-p", "x"]]
  ])("says nothing and does not fail when %s", async (_, flags) => {
    // Whoever is at the usual port of this machine is not asked.
    const env = { NEXUS_PORT: "1" }
    expect(await cli.nexusWith(env, "complete", "models", "--", "nexus", "explain", ...flags)).toEqual({
      code: 0,
      stdout: "",
      stderr: ""
    })
  })

  test("is not shown in the help", async () => {
    const { stdout } = await cli.nexus("--help")
    expect(stdout).toContain("completions")
    expect(stdout).not.toMatch(/^\s+complete\s/m)
  })
})

describe("the gateway a line is about", () => {
  test("is found whatever quotes the shell lets one write around the file", () =>
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.constantFrom("-c", "--config"), (file, flag) => {
        const single = `'${file.replaceAll("'", `'\\''`)}'`
        const double = `"${file.replace(/["\\$`]/g, "\\$&")}"`
        const bare = file.replace(/[^A-Za-z0-9/]/gs, "\\$&")
        for (const word of [single, double, bare]) {
          expect(gatewayFlagsIn(["nexus", flag, word], "/home").config).toEqual(Option.some(file))
          expect(gatewayFlagsIn(["nexus", `${flag}=${word}`], "/home").config).toEqual(Option.some(file))
        }
      })
    ))

  test("is below the home directory after ~/, and the last flag counts", () => {
    expect(gatewayFlagsIn(["nexus", "-c", "~/a b", "-c", "~/nexus.toml"], "/home/o'x").config).toEqual(
      Option.some("/home/o'x/nexus.toml")
    )
    expect(gatewayFlagsIn(["nexus", "-H", "::1", "-p", "80", "-c"], "/")).toEqual({
      config: Option.none(),
      overrides: { server: { host: "::1", port: 80 } }
    })
  })
})

// A shell on a terminal of its own. What is typed waits there until the shell reads it, so nothing has to be timed.
const typing = async (shell: "bash" | "zsh", text: string, typed: string): Promise<string> => {
  const file = join(home, `completions.${shell}`)
  writeFileSync(file, text)
  const setUp = [
    ...(shell === "zsh" ? ["autoload -Uz compinit", "compinit -u -D"] : []),
    `source '${file}'`,
    `nexus() { if [ "$1" = complete ]; then ${programInShell} "$@"; else printf '<%s>' "$@"; echo .; fi; }`
  ]
  const rc = join(home, shell === "zsh" ? ".zshrc" : "rc.bash")
  writeFileSync(rc, `${setUp.join("\n")}\n`)
  let output = ""
  const decoder = new TextDecoder()
  const child = Bun.spawn(shell === "zsh" ? ["zsh", "-i"] : ["bash", "--noprofile", "--rcfile", rc, "-i"], {
    cwd: home,
    env: { PATH: process.env["PATH"] ?? "", HOME: home, ZDOTDIR: home, TERM: "dumb", INPUTRC: "/dev/null" },
    terminal: {
      cols: 200,
      rows: 40,
      data: (_, bytes) => {
        output += decoder.decode(bytes, { stream: true })
      }
    }
  })
  const said = () => /(?:^|[\r\n])(<.*>)\.\r?\n/.exec(output)?.[1]
  try {
    child.terminal?.write(typed)
    // What is said of a failure is what has come until then; a busy machine takes its time.
    await until(() => said() !== undefined, `an answer of ${shell}`, 100_000).catch((error: unknown) => {
      throw new Error(`it says ${JSON.stringify(output)}`, { cause: error })
    })
    return said() ?? ""
  } finally {
    child.kill("SIGKILL")
    await child.exited
    child.terminal?.close()
  }
}

const completes = async (shell: "bash" | "zsh", text: string, typed: string, expected: string): Promise<void> => {
  const answer = await asked(
    () => typing(shell, text, typed),
    (said) => said === expected
  )
  expect(answer).toBe(expected)
}

const name = Argument.String("name")
const future = ["remove", "enable", "disable", "drain"].map((word) => Command.make(word, { name }, () => Effect.void))
const tree = Command.make("nexus").pipe(
  Command.withSubcommands([Command.make("backends").pipe(Command.withSubcommands(future))])
)

for (const shell of ["bash", "zsh"] as const) {
  describe.skipIf(Bun.which(shell) === null)(`in ${shell}, the tabulator`, () => {
    let completions = ""
    beforeAll(async () => {
      completions = (await cli.nexus("completions", shell)).stdout
    })

    test.each([
      ["a name with a colon", "explain -p PORT -m lla\t7\t", "<explain><-p><PORT><-m><llama3:70b>"],
      ["a name with a colon, after the colon", "explain -p PORT -m llama3:8\t", "<explain><-p><PORT><-m><llama3:8b>"],
      ["a name with a quote and spaces", "explain -p PORT --model it\t", "<explain><-p><PORT><--model><it's a model>"],
      ["a name inside of quotes", 'explain -p PORT -m "qu\t', '<explain><-p><PORT><-m><qu"ote>'],
      ["a name with a dollar", "explain -p PORT -m dol\t", "<explain><-p><PORT><-m><dollar$x>"],
      ["a name with a backslash", "explain -p PORT -m back\t", "<explain><-p><PORT><-m><back\\slash>"],
      ["a model by itself", "explain -p PORT dol\t", "<explain><-p><PORT><dollar$x>"],
      ["a model to be measured", "bench -p PORT dol\t", "<bench><-p><PORT><dollar$x>"],
      ["a backend", "models --port PORT -b fi\t", "<models><--port><PORT><-b><first>"],
      ["a fixed choice", "serve -l wa\t", "<serve><-l><warn>"]
    ])("completes %s", (_, typed, expected) =>
      completes(shell, completions, `nexus ${typed.replace("PORT", port)}\n`, expected.replace("PORT", port))
    )

    test("completes the id of a request that is under way, to explain and to cancel it", async () => {
      using reading = await dial(gateway.port)
      await reading.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nx-request-id: abc:1.z\r\nContent-Length: 9\r\n\r\n{"
      )
      await until(() => gateway.inFlight() === 1, "it is under way")
      for (const flag of ["-r", "--request"]) {
        const expected = `<explain><-p><${port}><${flag}><abc:1.z>`
        await completes(shell, completions, `nexus explain -p ${port} ${flag} ab\t\n`, expected)
      }
      const expected = `<requests><cancel><-p><${port}><abc:1.z>`
      await completes(shell, completions, `nexus requests cancel -p ${port} ab\t\n`, expected)
    })

    test("adds nothing when no gateway runs", async () => {
      expect(await typing(shell, completions, "nexus explain -p 1 -m lla\t\n")).toBe("<explain><-p><1><-m><lla>")
    })

    test("completes the backend that a command below backends is about", async () => {
      // This tree has no flags: the gateway is that of the config at hand.
      writeFileSync(join(home, "nexus.toml"), `[server]\nport = ${port}\n`)
      const text = completionScript(tree, shell)
      await completes(shell, text, "nexus backends drain f-\t\n", "<backends><drain><f-2.b>")
      await completes(shell, text, "nexus backends remove fir\t\n", "<backends><remove><first>")
      rmSync(join(home, "nexus.toml"))
    })
  })
}
