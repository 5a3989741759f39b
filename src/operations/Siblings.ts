/**
 * The other processes that share the work of this gateway: what they know and this one does not. To ask them something new,
 * add it to {@link siblingQuestions}, and to what a worker answers in `cluster/Worker.ts`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ProcessFigures } from "../telemetry/process-figures.ts"
import {
  Explained,
  ExplainedUnderWay,
  RecentRequest,
  ReplayedRequest,
  ReplayQuery,
  RequestUnderWay
} from "../api/admin-api.ts"
import { CacheFigures } from "../api/cache-api.ts"
import { ContactedHost } from "../api/audit-api.ts"

/** What siblings can be asked: each of them adds its own items to the answer, none or more. */
export interface SiblingQuestion<Details, Item> {
  readonly name: string
  readonly details: Schema.Codec<Details, unknown>
  readonly items: Schema.Codec<ReadonlyArray<Item>, unknown>
  /** Milliseconds that all of them together have. */
  readonly withinMs: number
}

const question = <Details, Item>(
  name: string,
  details: Schema.Codec<Details, unknown>,
  item: Schema.Codec<Item, unknown>,
  withinMs: number
): SiblingQuestion<Details, Item> => ({ name, details, items: Schema.Array(item), withinMs })

/** The questions that there are. */
export const siblingQuestions = {
  /** The last requests, those alone that ended since then where a time is given, in milliseconds since 1970. */
  requests: question("requests", Schema.Struct({ since: Schema.optionalKey(Schema.Finite) }), RecentRequest, 1000),
  /** One of them, with its decision. */
  request: question("request", Schema.Struct({ id: Schema.String }), Explained, 1000),
  /** The requests that are under way. */
  underWay: question("underWay", Schema.Struct({}), RequestUnderWay, 1000),
  /** Those of them with an id, with their decisions. */
  oneUnderWay: question("oneUnderWay", Schema.Struct({ id: Schema.String }), ExplainedUnderWay, 1000),
  /** Has those with an id ended; gives how they stood. */
  cancel: question("cancel", Schema.Struct({ id: Schema.String }), RequestUnderWay, 1000),
  /** The last ones under another config. */
  replay: question("replay", ReplayQuery, ReplayedRequest, 5000),
  /** The hosts that they have contacted. */
  contacts: question("contacts", Schema.Struct({}), ContactedHost, 1000),
  /** The answers that they keep to be given again. */
  cached: question("cached", Schema.Struct({}), CacheFigures, 1000),
  /** Has them drop those; gives what that was. */
  clearCache: question("clearCache", Schema.Struct({}), CacheFigures, 1000),
  /** The figures of their work; `own` are those of who asks. Later than this they are late. */
  measures: question("measures", Schema.Struct({ own: Schema.optionalKey(ProcessFigures) }), ProcessFigures, 500)
}

/** Asks the siblings; a gateway of one process has none. Undefined when one of them did not answer in time. */
export const Siblings = Context.Reference<{
  readonly ask: <Details, Item>(
    question: SiblingQuestion<Details, Item>,
    details: Details
  ) => Effect.Effect<ReadonlyArray<Item> | undefined>
}>("nexus/operations/Siblings", { defaultValue: () => ({ ask: () => Effect.succeed([]) }) })
