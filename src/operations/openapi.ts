/**
 * The text of `/openapi.json`: what the contracts say, and what is true of all endpoints. Loaded when it is asked for.
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { schemaAt } from "../config/reference.ts"
import { clientKeyHeaders, openPaths } from "../admission/access.ts"
import { modelActions } from "../backend/model-actions.ts"
import { Api } from "../api/gateway-api.ts"
import { errorExamples, type ErrorTag } from "./error-examples.ts"
import { endpointFormat } from "../api/admin-api.ts"
import { maxModelLength } from "../domain/request.ts"
import type { DialectList } from "../dialect/all.ts"
import { pathsOf, Routes } from "../dialect/routes.ts"
import type { Dialect, Documented } from "../dialect/Dialect.ts"
import { failureFor } from "../dialect/failures.ts"
import { refusalBody } from "../dialect/refuse.ts"

type Json = Readonly<Record<string, unknown>>

const Page = [
  Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain" })),
  Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/html" }))
]

const Itself = HttpApiGroup.make("document").add(
  HttpApiEndpoint.get("front", "/", { success: Page }).annotate(
    OpenApi.Summary,
    "How the gateway is and how to ask it, for people: HTML for who accepts it, and text; without a key, only how to ask"
  ),
  HttpApiEndpoint.get("docs", "/docs", { success: Page }).annotate(
    OpenApi.Summary,
    "This document for people: HTML for who accepts it, and text"
  ),
  HttpApiEndpoint.get("openapi", "/openapi.json", { success: Schema.Record(Schema.String, Schema.Unknown) }).annotate(
    OpenApi.Summary,
    "This document"
  )
)

const described = (all: ReadonlyArray<Documented>) => {
  const [first = Itself, ...others] = [...all.flatMap(({ groups }) => groups), Itself]
  return Api.add(first, ...others)
    .annotateMerge(
      OpenApi.annotations({
        description:
          "One OpenAI-compatible endpoint in front of every LLM server you have. What takes GET takes HEAD. Failures have the shape of the API that was asked",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
        servers: [{ url: "/", description: "The gateway this document comes from" }]
      })
    )
    .annotate(
      HttpApi.AdditionalSchemas,
      all.flatMap(({ schemas }) => schemas)
    )
}

const header = (description: string, required: boolean, type: "string" | "integer" | "number" = "string") => ({
  description,
  required,
  schema: { type }
})

const headers = {
  "x-request-id": header("The id of the request: the client's own when it sent a good one", true),
  "x-nexus-version": header("Version of the gateway", true),
  "x-nexus-backend": header("Name of the backend that answered", false),
  "x-nexus-backend-type": header("Whether it is local or in the cloud", false),
  "x-nexus-zone": header("The zone that it is in: local, lan, cloud or one of the config", false),
  "x-nexus-cache": header("`hit` where the answer was kept from before, `miss` where it may be kept now", false),
  age: header("How old an answer is that was kept from before, in seconds", false, "integer"),
  "x-nexus-route-reason": header("Why it was chosen: capability-match, capacity-overflow, failover or hedge", false),
  "x-nexus-attempts": header("How many backends were asked, the last one included", false, "integer"),
  "x-nexus-cold": header("`1` when the model was not in memory there, and had to be loaded first", false),
  "x-nexus-load-seconds": header("How long that was expected to take, in seconds", false, "number"),
  "x-nexus-hedge": header(
    "What came of asking a second backend since the first token was late: won by it, lost to the first, or failed",
    false
  ),
  "x-nexus-answered-model": header(
    "The model that the answer says it is by, when the backend lists no such model",
    false
  ),
  "x-nexus-warning": header("What is wrong with a good answer: the backend has cut the prompt", false),
  "x-nexus-resolved-model": header(
    "The model that was understood, when nobody has the name as it came: another spelling, a prefix or a suffix",
    false
  ),
  "x-nexus-fallback-model": header("The model that answered in place of the one asked for", false),
  "x-nexus-dialect": header("From which dialect to which a request was translated", false),
  "x-nexus-dropped": header("What of a translated request was left out", false),
  "x-nexus-rule": header("The rule of the route table that the request went by", false),
  "x-nexus-canary": header("`1` when the request was one of the rule's canary", false),
  "x-nexus-budget": header("The budget whose soft limit is passed, or whose hard limit refuses", false),
  traceresponse: header("The trace and the span of the request, where traces are exported", false),
  "x-nexus-estimated": header("The field of the answer that is an estimate", false),
  "x-nexus-rejection-reasons": header("Why each backend did not answer", false),
  "x-nexus-queue-position": header(
    "Which place it would have had, or had, among those that wait for a slot",
    false,
    "integer"
  ),
  "x-nexus-queue-seconds": header("In about how many seconds its turn would have come", false, "number"),
  "retry-after": header("Seconds after which another try makes sense", false, "integer"),
  "x-should-retry": header("`false` when another try would only repeat what the gateway has tried", false),
  "www-authenticate": header("How to send a key", true)
}

type HeaderName = keyof typeof headers

const headersOf = (...names: ReadonlyArray<HeaderName>) =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))

const errorHeaders: Readonly<Record<string, ReadonlyArray<HeaderName>>> = {
  401: ["www-authenticate"],
  402: ["x-nexus-budget", "x-should-retry"],
  429: ["retry-after", "x-nexus-queue-position", "x-nexus-queue-seconds"],
  501: ["x-should-retry"],
  502: ["x-nexus-rejection-reasons"],
  503: ["retry-after", "x-nexus-rejection-reasons"]
}

const choiceHeaders: ReadonlyArray<HeaderName> = [
  "x-nexus-backend",
  "x-nexus-backend-type",
  "x-nexus-zone",
  "x-nexus-cache",
  "age",
  "x-nexus-route-reason",
  "x-nexus-attempts",
  "x-nexus-cold",
  "x-nexus-load-seconds",
  "x-nexus-hedge",
  "x-nexus-answered-model",
  "x-nexus-warning",
  "x-nexus-resolved-model",
  "x-nexus-fallback-model",
  "x-nexus-dialect",
  "x-nexus-dropped",
  "x-nexus-rule",
  "x-nexus-canary",
  "x-nexus-budget",
  "traceresponse",
  "x-nexus-estimated"
]

const security = {
  bearer: { type: "http", scheme: "bearer", description: "A key of [auth]; none is needed when there are none" },
  ...Object.fromEntries(
    clientKeyHeaders.map((name) => [
      name,
      { type: "apiKey", in: "header", name, description: "The same key in another header" }
    ])
  )
}

const before: ReadonlyArray<ErrorTag> = ["BadRequest", "Forbidden", "UriTooLong"]
const everywhere: ReadonlyArray<ErrorTag> = [...before, "Unauthorized", "IssuerUnavailable", "Internal"]
const withBody: ReadonlyArray<ErrorTag> = ["PayloadTooLarge", "UnsupportedMediaType"]
const whenForwarded: ReadonlyArray<ErrorTag> = [
  "BudgetExceeded",
  "ModelNotAllowed",
  "ModelNotFound",
  "ModelCapabilityMismatch",
  "ContextLengthExceeded",
  "RequestTimeout",
  "Overloaded",
  "RateLimited",
  "BadGateway",
  "ZoneNotAllowed",
  "ServiceUnavailable",
  "Stopping",
  "Cancelled",
  "GatewayTimeout",
  "LoopDetected",
  "NotImplemented"
]

/** What only some endpoints refuse with, by the name of the operation. */
const own: ReadonlyMap<string, ReadonlyArray<ErrorTag>> = new Map<string, ReadonlyArray<ErrorTag>>([
  ["gateway.model", ["ModelNotAllowed", "ModelNotFound", "ZoneNotAllowed"]],
  ["admin.decision", ["RequestNotKept", "Conflict"]],
  ["admin.oneUnderWay", ["RequestNotUnderWay", "Conflict"]],
  ["admin.cancel", ["RequestNotUnderWay", "Conflict"]],
  ["admin.replayFile", ["Conflict", "ConfigRefused"]],
  ["control.settings", ["Conflict"]],
  ["control.compare", ["ConfigRefused"]],
  ["control.reload", ["ConfigRefused"]],
  ["control.add", ["Conflict", "ConfigRefused"]],
  ["control.remove", ["BackendNotFound", "Conflict", "ConfigRefused"]],
  ["control.act", ["BackendNotFound"]],
  ["doctor.look", ["Conflict"]],
  ["keys.make", ["Conflict"]],
  ["keys.revoke", ["Conflict"]],
  ["keys.rotate", ["Conflict"]],
  ["keys.revokeTokens", ["Conflict"]],
  ["keys.lift", ["Conflict"]],
  ...modelActions.map((action): readonly [string, ReadonlyArray<ErrorTag>] => [
    `lifecycle.${action}`,
    ["ModelNotFound", "ModelNotAllowed", "ZoneNotAllowed", "BackendNotFound", "NotImplemented", "ModelActionFailed"]
  ])
])

/** In which dialect failures are told, and what the document calls their schema. */
interface Failing {
  readonly dialect: Dialect
  readonly schema: string
}

const refusal = (
  { dialect, schema }: Failing,
  description: string,
  tags: ReadonlyArray<ErrorTag>,
  more: ReadonlyArray<HeaderName>
) => {
  const exampleOf = (tag: ErrorTag) => {
    const { when, error } = errorExamples[tag]
    return { summary: when, value: JSON.parse(refusalBody(dialect, error)) as Json } // reason: a failure is an object
  }
  return {
    description,
    headers: headersOf("x-request-id", ...more),
    content: {
      [dialect.types.whole]: {
        schema: { $ref: `#/components/schemas/${schema}` },
        examples: Object.fromEntries(tags.map((tag) => [tag, exampleOf(tag)]))
      }
    }
  }
}

const triedHeaders: ReadonlyArray<HeaderName> = [...choiceHeaders, "x-should-retry"]

/** Refusals that several endpoints of a dialect share, by the name they have in the document. */
class Shared implements Failing {
  readonly responses: Record<string, Json> = {}
  readonly dialect: Dialect
  readonly schema: string
  private readonly prefix: string

  constructor(dialect: Dialect, prefix: string) {
    this.dialect = dialect
    this.prefix = prefix
    this.schema = `${prefix}Error`
  }

  private put(name: string, response: Json): Json {
    this.responses[`${this.prefix}${name}`] = response
    return { $ref: `#/components/responses/${this.prefix}${name}` }
  }

  /** The responses for failures, by status; a backend's own refusal can come under most of them. */
  refusals(tags: ReadonlyArray<ErrorTag>, forwarded: boolean): Json {
    const groups = Map.groupBy(tags, (tag) => String(failureFor(errorExamples[tag].error).status))
    const choice = forwarded ? triedHeaders : []
    return Object.fromEntries(
      [...groups].map(([status, all]) => {
        const words = all.map((tag) => errorExamples[tag].when).join(". Or: ")
        const name = `${forwarded ? "Forwarded" : ""}${all.join("Or")}`
        const headers = [...(errorHeaders[status] ?? []), ...choice]
        return [status, this.put(name, refusal(this, words, all, headers))]
      })
    )
  }

  /** The response for every other failure. */
  otherwise(forwarded: boolean): Json {
    return forwarded
      ? this.put(
          "RefusedByBackend",
          refusal(this, "What a backend refuses, with its own status", [], ["retry-after", ...triedHeaders])
        )
      : this.put("Otherwise", refusal(this, "Any other failure", ["NotFound", "MethodNotAllowed"], []))
  }
}

/** An answer that is no refusal, or a refusal that is not among the {@link own} ones. */
const isKept = (operationId: string, { content }: OpenApi.OpenApiSpecResponse): boolean =>
  !own.has(operationId) || content?.["application/json"]?.schema["$ref"] !== "#/components/schemas/Error"

const completed = (
  [method, operation]: readonly [string, OpenApi.OpenAPISpecOperation],
  path: string,
  forwarded: boolean,
  shared: Shared
): Json => {
  const { responses, security: _, ...said } = { ...operation, ...bounded(method, path, operation) }
  // What has an answer of its own for this status tells nothing else by it.
  const usual = everywhere.filter((tag) => tag !== "IssuerUnavailable" || responses["503"] === undefined)
  const tags = [
    ...(openPaths.has(path) ? before : usual),
    ...(method === "post" ? withBody : []),
    ...(forwarded ? whenForwarded : []),
    ...(own.get(operation.operationId) ?? [])
  ]
  const names = forwarded ? choiceHeaders : (["x-nexus-version"] as const)
  const answers = Object.entries(responses).flatMap(([status, response]) => {
    const whole = { ...response, headers: { ...response.headers, ...headersOf("x-request-id", ...names) } }
    return isKept(operation.operationId, response) ? [[status, whole] as const] : []
  })
  return {
    ...said,
    ...(openPaths.has(path) ? { security: [] } : {}),
    responses: {
      ...Object.fromEntries(answers),
      ...shared.refusals(tags, forwarded),
      default: shared.otherwise(forwarded)
    }
  }
}

const everyMethod = (
  path: string,
  item: OpenApi.OpenAPISpecPathItem,
  forwarded: ReadonlySet<string>,
  shared: Shared
): Json => {
  const { get, post, put, patch, delete: remove, ...more } = item
  const operations = Object.entries({ get, post, put, patch, delete: remove }).flatMap(([method, operation]) =>
    operation === undefined
      ? []
      : [[method, completed([method, operation], path, forwarded.has(path), shared)] as const]
  )
  return { ...more, ...Object.fromEntries(operations) }
}

/** What the config says of a key of a backend. */
const ofBackend = (key: string): Json => schemaAt(["backends", 0, key]) ?? {}

/** Bounds that are kept in words of their own, not by the contract: what a field may be, by method, path and name. */
const bounds: ReadonlyMap<string, Readonly<Record<string, Json>>> = new Map([
  [
    "post /admin/v1/backends",
    Object.fromEntries(["url", "name", "priority", "max_concurrent", "api_key_env"].map((key) => [key, ofBackend(key)]))
  ],
  ["post /admin/v1/route", { model: { type: "string", minLength: 1, maxLength: maxModelLength } }]
])

const bounded = (method: string, path: string, { requestBody: body, ...said }: OpenApi.OpenAPISpecOperation): Json => {
  const fields = bounds.get(`${method} ${path}`)
  const media = body?.content["application/json"]
  if (body === undefined || media === undefined || fields === undefined) {
    return body === undefined ? said : { ...said, requestBody: body }
  }
  // What is not named is not looked at.
  const schema = {
    ...media.schema,
    additionalProperties: {},
    properties: { ...Object(media.schema["properties"]), ...fields }
  }
  return { ...said, requestBody: { ...body, content: { ...body.content, "application/json": { ...media, schema } } } }
}

/** The names of all operations where one of them is meant. */
const withNames = (spec: Json, names: ReadonlyArray<string>): Json =>
  JSON.parse(
    JSON.stringify(spec, (_, value: unknown) =>
      Predicate.isObject(value) && value["format"] === endpointFormat ? { type: "string", enum: names } : value
    )
  )

/** The document of a gateway that serves these dialects; failures have the shape of the path's own, or of the first. */
export const openApi = async (dialects: DialectList): Promise<Json> => {
  const told = await Promise.all(dialects.map((dialect) => dialect.document?.()))
  const all = told.filter((each) => each !== undefined)
  const operations = dialects.flatMap((dialect) => dialect.operations)
  const { paths, components, ...spec } = OpenApi.fromApi(described(all))
  const first = new Shared(dialects[0], "")
  const others = dialects
    .slice(1)
    .map((each) => new Shared(each, `${each.id.charAt(0).toUpperCase()}${each.id.slice(1)}`))
  const sharedBy = new Map([first, ...others].map((each) => [each.dialect, each] as const))
  const routes = new Routes(dialects)
  const ofPage = (path: string) =>
    dialects.find(({ pages = [] }) => pages.some((page) => page.shared !== true && page.path === path))
  const sharedAt = (path: string): Shared =>
    sharedBy.get(routes.find(path)?.dialect ?? ofPage(path) ?? dialects[0]) ?? first
  const changes = dialects.flatMap(({ changes = [] }) => changes.map(({ operation }) => operation.path))
  const forwarded = new Set([...operations.flatMap(pathsOf), ...changes])
  const everyPath = Object.fromEntries(
    Object.entries(paths).map(([path, item]) => [path, everyMethod(path, item, forwarded, sharedAt(path))])
  )
  const failures = Object.fromEntries(
    [first, ...others].flatMap(({ schema }, at) => {
      const failure = told[at]?.failure
      return failure === undefined ? [] : [[schema, failure] as const]
    })
  )
  const document = {
    ...spec,
    security: [{}, ...Object.keys(security).map((name) => ({ [name]: [] }))],
    paths: everyPath,
    components: {
      ...components,
      schemas: { ...components.schemas, ...failures },
      responses: Object.assign({}, ...[first, ...others].map(({ responses }) => responses)),
      securitySchemes: security,
      headers
    }
  }
  return withNames(
    document,
    operations.map(({ name }) => name)
  )
}
