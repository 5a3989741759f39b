/**
 * nexus completions: scripts that complete the command line.
 */
import { Console, Effect } from "effect"
import { Argument, Command, Completions } from "effect/cli"

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
      Effect.suspend(() => Console.log(Completions.generate("nexus", shell, Completions.fromCommand(tree())).trimEnd()))
  ).pipe(
    Command.withDescription("Print a script that completes nexus commands in a shell"),
    Command.withExamples([
      { command: "nexus completions bash > ~/.local/share/bash-completion/completions/nexus" },
      { command: "nexus completions zsh > ~/.zfunc/_nexus" }
    ])
  )
