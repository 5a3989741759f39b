/**
 * The entries of `[[routes]]`.
 */
import * as Schema from "effect/Schema"
import { strategies, drawnBy, weekdays } from "../domain/routing.ts"
import { formed, maybe, or, plainName, seconds, weightParts, whole, zones } from "./schema-parts.ts"
import { abilities } from "../domain/request.ts"

const names = Schema.Union([Schema.NonEmptyString, Schema.NonEmptyArray(Schema.NonEmptyString)])

const tokens = whole(0, 1_000_000_000)

const Tokens = Schema.Struct({
  min: maybe(tokens, "Estimated tokens of its prompt at least"),
  max: maybe(tokens, "Estimated tokens of its prompt at most")
})

const Match = Schema.Struct({
  model: maybe(names, "Model as it is asked for, or as its aliases lead to it; * is any text, ? one character"),
  key: maybe(
    names,
    "Name of the key in [[auth.keys]] that it comes with, corp:alice of a token of issuer corp; * and ? as above"
  ),
  headers: maybe(
    Schema.Record(Schema.String, Schema.String),
    "Header = what it says; * and ? as above, and * alone is any value"
  ),
  prompt_tokens: maybe(Tokens, "How long its prompt is"),
  abilities: maybe(Schema.NonEmptyArray(Schema.Literals(abilities)), "What it calls for, all of them"),
  endpoint: maybe(names, "What is asked, by the names that metrics have; * and ? as above"),
  time: maybe(
    formed(
      /^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/u,
      "a time of the day such as 08:00-18:00, or 22:00-06:00 over midnight"
    ),
    "Time of the day when it comes, such as 22:00-06:00"
  ),
  days: maybe(
    Schema.NonEmptyArray(Schema.Literals(weekdays)),
    "Days on which it comes; what begins before midnight belongs to the day before"
  ),
  timezone: maybe(Schema.NonEmptyString, "Time zone of both, such as Europe/Berlin; that of this machine when absent")
})

const side = {
  model: maybe(Schema.NonEmptyString, "Model, alias or group in place of the one that was asked for"),
  backends: maybe(
    Schema.NonEmptyArray(Schema.NonEmptyString),
    "Backends that may answer, by their names; * and ? as above; any when absent"
  )
}

const share = seconds(0, 1).annotate({ description: "Part of the requests, from 0 to 1" })

const Canary = Schema.Struct({
  ...side,
  share,
  by: or(
    Schema.Literals(drawnBy),
    "session",
    "What stays on its side: the session that a header names, each request where none does, or all of one key"
  )
})

const Shadow = Schema.Struct({
  ...side,
  share,
  max_concurrent: or(whole(1, 1000), 2, "Copies under way at a time; what comes beyond is not copied"),
  remote: or(Schema.Boolean, false, "Send copies to backends in the cloud as well: they cost what requests do")
})

/** A rule. */
export const RouteEntry = Schema.Struct({
  name: plainName.annotate({ description: "Name of the rule in headers, metrics and explanations" }),
  match: or(Match, {}, "Requests that it is for: those that have all of it"),
  ...side,
  zones: maybe(zones, "Zones that its requests may go to, its canary, shadow and fallbacks included; any when absent"),
  strategy: maybe(Schema.Literals(strategies), "How candidates are ordered, in place of routing.strategy"),
  weights: maybe(weightParts, "Parts of the smart score, in place of routing.weights"),
  canary: maybe(Canary, "A share of the requests that goes elsewhere first"),
  shadow: maybe(
    Shadow,
    "A share of the requests of which a copy goes elsewhere; its answer is dropped and compared in the metrics"
  )
})
