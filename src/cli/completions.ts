/**
 * nexus completions: scripts that complete the command line.
 */
import { Console, Effect } from "effect"
import { Argument, Command, Completions } from "effect/cli"

// The script leans on one helper of the bash-completion package; this stands in where that is not installed.
const bashHelper = `if ! declare -F _init_completion > /dev/null; then
  _init_completion() {
    words=("\${COMP_WORDS[@]}") cword=$COMP_CWORD
    cur=\${words[cword]} prev=\${words[cword - 1]}
  }
fi
`

/** The command, over the tree it completes; it completes itself as well. */
export const completionsCommand = (tree: () => Command.Command.Any) =>
  Command.make(
    "completions",
    {
      shell: Argument.Literals("shell", ["bash", "zsh", "fish"]).pipe(
        Argument.withDescription("Shell the script is for")
      )
    },
    ({ shell }) =>
      Effect.suspend(() => {
        // Its comment on how to install it names a global flag, which is a command here.
        const script = Completions.generate("nexus", shell, Completions.fromCommand(tree()))
          .trimEnd()
          .replaceAll("nexus --completions ", "nexus completions ")
        return Console.log(shell === "bash" ? bashHelper + script : script)
      })
  ).pipe(
    Command.withDescription("Print a script that completes nexus commands in a shell"),
    Command.withExamples([
      { command: "nexus completions bash > ~/.local/share/bash-completion/completions/nexus" },
      { command: "nexus completions zsh > ~/.zfunc/_nexus" }
    ])
  )
