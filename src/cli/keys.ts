/**
 * nexus keys: keys that clients send.
 */
import { createHash, randomBytes } from "node:crypto"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Argument, Command } from "effect/cli"

const keyBytes = 32

/** A new key and its SHA-256 digest in hexadecimal. */
export const newKey = (): { readonly key: string; readonly digest: string } => {
  const key = `nx-${randomBytes(keyBytes).toString("base64url")}`
  return { key, digest: createHash("sha256").update(key).digest("hex") }
}

/** What is printed for a key: the key once, its digest, and what to put into nexus.toml. */
export const keyText = (name: string, { key, digest }: ReturnType<typeof newKey>): string =>
  [
    `Key:    ${key}`,
    `SHA256: ${digest}`,
    "",
    "Give the key to the client; it is not stored and not shown again. Put this into nexus.toml:",
    "",
    "[[auth.keys]]",
    `name = ${JSON.stringify(name)}`,
    `sha256 = "${digest}"`
  ].join("\n")

const name = Argument.String("name").pipe(
  Argument.withDescription("Name of the key in the config and in logs"),
  Argument.withDefault("client")
)

const newCommand = Command.make("new", { name }, (input) =>
  Effect.flatMap(Effect.sync(newKey), (made) => Console.log(keyText(input.name, made)))
).pipe(
  Command.withDescription("Make a random key and print it once, with what to put into nexus.toml"),
  Command.withExamples([{ command: "nexus keys new laptop" }])
)

/** The command. */
export const keysCommand = Command.make("keys").pipe(
  Command.withDescription("Keys for the clients of the gateway"),
  Command.withSubcommands([newCommand])
)
