/**
 * What the Schema of the settings is made of.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { zoneName } from "../domain/zones.ts"

const described = <S extends Schema.Top>(schema: S, description: string): S =>
  schema.annotate({ description }) as unknown as S // reason: annotating rebuilds the same schema type

/** A key with a default. */
export const or = <S extends Schema.Top>(schema: S, value: S["Encoded"], description: string) =>
  described(schema, description).pipe(Schema.withDecodingDefaultKey(Effect.succeed(value)))

/** A key that may be absent. */
export const maybe = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(described(schema, description))

/** A number within bounds. */
export const seconds = (minimum: number, maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum }))
/** A whole number within bounds. */
export const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
/** A part of a whole. */
export const share = seconds(0, 1)
/** A time limit in seconds. */
export const limit = seconds(0, 86_400)

const amount = whole(1, 1_000_000_000)

/** How much may be asked; `of` says who or what is counted together. */
export const rateLimits = (of: string) => ({
  requests_per_minute: maybe(amount, `Requests in a minute${of}; further ones get 429`),
  tokens_per_minute: maybe(
    amount,
    `Tokens in a minute, of prompts and answers together${of}: as they are estimated when a request comes, and as they were when it has ended`
  ),
  max_concurrent: maybe(whole(1, 60_000), `Requests under way at a time${of}; further ones get 429`)
})

/** A text of one form; `expected` is what is said where it has another. */
export const formed = (pattern: RegExp, expected: string) =>
  Schema.String.check(Schema.isPattern(pattern, { expected }))

/** A name that stands in headers, metrics and commands. */
export const plainName = formed(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/u,
  "1 to 64 letters, digits, dots, dashes or underscores, starting with a letter or digit"
)

/** A zone, in whose name no blank or capital is. */
export const zone = formed(
  zoneName,
  "a zone such as local, lan, cloud or eu-dc: lower-case letters, digits, dots, dashes and underscores"
)

/** Zones that requests may go to. */
export const zones = Schema.NonEmptyArray(zone)

/** How a server is known by certificates, and shown one. */
export const tlsFiles = {
  ca_file: maybe(
    Schema.NonEmptyString,
    "File with the authorities (PEM) that its certificate may come from, in place of those of the system"
  ),
  client_cert_file: maybe(Schema.NonEmptyString, "File with the certificate (PEM) that Nexus shows to it"),
  client_key_file: maybe(Schema.NonEmptyString, "File with the key (PEM) of that certificate")
}

const weight = whole(0, 1_000_000)

/** How much each part of an expected end matters to the smart strategy. */
export const weightParts = Schema.Struct({
  priority: or(weight, 50, "How much the backend's priority matters to the smart strategy"),
  load: or(weight, 30, "How much the time until a slot is free matters"),
  latency: or(weight, 20, "How much the time matters to load the model, read the prompt and write the answer")
})
