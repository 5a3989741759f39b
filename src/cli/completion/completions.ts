/**
 * nexus completions: scripts that complete the command line, with the names the running gateway knows.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Argument, Command, Completions } from "effect/cli"
import type { NameKind } from "./complete.ts"

/** Flags, by their name, whose value is a name the gateway knows. */
const flagKinds: Readonly<Record<string, NameKind>> = { model: "models", backend: "backends", request: "requests" }

/** The same for arguments, of a command and those below it. */
const argumentKinds: Readonly<Record<string, Readonly<Record<string, NameKind>>>> = {
  backends: { name: "backends", backend: "backends" },
  models: { model: "models" },
  bench: { target: "models" },
  explain: { model: "models" },
  requests: { request: "requests" }
}

// The generator knows fixed choices alone: one that cannot be meant stands for the names, until the script is made.
const marker = (kind: NameKind) => ({ _tag: "Choice", values: [`NEXUS-LIVE-${kind}`] }) as const

const kinds: ReadonlyArray<NameKind> = ["models", "backends", "requests"]

const marked = (
  descriptor: Completions.CommandDescriptor,
  parents: ReadonlyArray<string> = []
): Completions.CommandDescriptor => {
  const path = [...parents, descriptor.name]
  const inside = Object.assign({}, ...path.map((command) => argumentKinds[command] ?? {}))
  const mark = <Of extends { readonly name: string; readonly type: { readonly _tag: string } }>(
    of: Of,
    known: Readonly<Record<string, NameKind>>
  ) => {
    const kind = of.type._tag === "String" && Object.hasOwn(known, of.name) ? known[of.name] : undefined
    return kind === undefined ? of : { ...of, type: marker(kind) }
  }
  return {
    ...descriptor,
    flags: descriptor.flags.map((flag) => mark(flag, flagKinds)),
    arguments: descriptor.arguments.map((argument) => mark(argument, inside)),
    subcommands: descriptor.subcommands.map((each) => marked(each, path))
  }
}

interface Dialect {
  /** What the generator writes for the marker, and what is to stand there. */
  readonly live: (kind: NameKind) => readonly [string, string]
  /** Asks the program for names; it is told the line as far as it is written, for `--config`, `--host` and `--port`. */
  readonly helper: string
}

const dialects: Readonly<Record<"bash" | "zsh" | "fish", Dialect>> = {
  bash: {
    live: (kind) => [`_nexus--choices "$cur" "$_comp_word" 'NEXUS-LIVE-${kind}'`, `_nexus--live ${kind}`],
    helper: `_nexus--live()
{
  local _name _names=()
  while IFS= read -r _name; do _names+=("$_name"); done < <(nexus complete "$1" -- "\${words[@]:0:cword}" 2>/dev/null)
  _nexus--choices "$cur" "$_comp_word" "\${_names[@]}"
}
`
  },
  zsh: {
    live: (kind) => [`(NEXUS-LIVE-${kind})`, `_nexus__live_${kind}`],
    helper: kinds
      .map(
        (kind) => `_nexus__live_${kind}() {
  local -a names
  names=("\${(@f)$(nexus complete ${kind} -- "\${(@)words[1,CURRENT-1]}" 2>/dev/null)}")
  compadd "$@" -a names
}
`
      )
      .join("\n")
  },
  fish: {
    live: (kind) => [`NEXUS-LIVE-${kind}`, `(__nexus_live ${kind})`],
    helper: `function __nexus_live
  nexus complete $argv[1] -- (commandline -poc) 2>/dev/null
end
`
  }
}

/** The script for a shell, over a tree of commands. */
export const completionScript = (tree: Command.Command.Any, shell: keyof typeof dialects): string => {
  const { live, helper } = dialects[shell]
  const generated = kinds.reduce(
    (text, kind) => text.replaceAll(...live(kind)),
    Completions.generate("nexus", shell, marked(Completions.fromCommand(tree)))
      .trimEnd()
      // Its comment on how to install it names a global flag, which is a command here.
      .replaceAll("nexus --completions ", "nexus completions ")
  )
  // The first line of a script for zsh says what it completes.
  const [first = "", ...rest] = generated.split("\n")
  return shell === "zsh" ? [first, helper, ...rest].join("\n") : helper + generated
}

/** The command, over the tree it completes; it completes itself as well. */
export const completionsCommand = (tree: () => Command.Command.Any) =>
  Command.make(
    "completions",
    {
      shell: Argument.Literals("shell", ["bash", "zsh", "fish"]).pipe(
        Argument.withDescription("Shell the script is for")
      )
    },
    ({ shell }) => Effect.suspend(() => Console.log(completionScript(tree(), shell)))
  ).pipe(
    Command.withDescription(
      "Print a script that completes nexus commands, names of models and backends, and ids of requests"
    ),
    Command.withExamples([
      { command: "nexus completions bash > ~/.local/share/bash-completion/completions/nexus" },
      { command: "nexus completions zsh > ~/.zfunc/_nexus" },
      { command: "nexus completions fish > ~/.config/fish/completions/nexus.fish" }
    ])
  )
