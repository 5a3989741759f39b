/**
 * A gateway's own `/openapi.json` as the judge of its answers.
 */
import Ajv2020 from "ajv/dist/2020"

type Json = Record<string, unknown>

/** An answer to judge; `path` as the document writes it. */
interface Judged {
  readonly method: string
  readonly path: string
  readonly response: Response
}

/** The judge. */
export interface OpenApiJudge {
  readonly document: Json
  /** Every method and path of the document. */
  readonly operations: ReadonlyArray<{ readonly method: string; readonly path: string; readonly operation: Json }>
  /** What is wrong with an answer by the document; empty when nothing is. */
  readonly faultsOf: (judged: Judged) => Promise<ReadonlyArray<string>>
  /** What is wrong with a request's body by the document. */
  readonly faultsOfBody: (method: string, path: string, value: unknown) => ReadonlyArray<string>
  /** What is wrong with a value by one of the document's named schemas. */
  readonly faultsBy: (schema: string, value: unknown) => ReadonlyArray<string>
}

const isJson = (value: unknown): value is Json => typeof value === "object" && value !== null

const escaped = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1")

/** Makes a judge of a document. */
export const judgeBy = (document: Json): OpenApiJudge => {
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false })
  ajv.addSchema(document, "openapi")

  const at = (keys: ReadonlyArray<string>): { readonly value: unknown; readonly keys: ReadonlyArray<string> } => {
    let value: unknown = document
    for (const key of keys) value = isJson(value) ? value[key] : undefined
    const ref = isJson(value) ? value["$ref"] : undefined
    return typeof ref === "string" ? at(ref.slice(2).split("/")) : { value, keys }
  }

  const faults = (keys: ReadonlyArray<string>, value: unknown): ReadonlyArray<string> => {
    const validate = ajv.compile({ $ref: `openapi#/${keys.map(escaped).map(encodeURIComponent).join("/")}` })
    return validate(value)
      ? []
      : (validate.errors ?? []).map(
          (each) => `${each.instancePath} ${each.message ?? ""} ${JSON.stringify(each.params)}`
        )
  }

  const faultsOf = async ({ method, path, response }: Judged): Promise<ReadonlyArray<string>> => {
    const responses = ["paths", path, method, "responses"]
    const exact = [...responses, String(response.status)]
    const { value, keys } = at(at(exact).value === undefined ? [...responses, "default"] : exact)
    if (!isJson(value)) return [`${method} ${path} does not tell of status ${response.status}`]
    const found: Array<string> = []
    const headers = isJson(value["headers"]) ? Object.keys(value["headers"]) : []
    for (const name of headers) {
      const header = at([...keys, "headers", name]).value
      if (isJson(header) && header["required"] === true && !response.headers.has(name)) found.push(`no header ${name}`)
    }
    for (const name of response.headers.keys()) {
      if (
        name.startsWith("x-") &&
        name !== "x-accel-buffering" &&
        name !== "x-content-type-options" &&
        name !== "x-nexus-version" &&
        !headers.includes(name)
      )
        found.push(`header ${name} is not told of`)
    }
    const type = response.headers.get("content-type")?.split(";")[0] ?? ""
    const content = at([...keys, "content", type])
    if (!isJson(content.value)) return [...found, `content type ${type} is not told of`]
    const body = await response.text()
    // Where the document tells of the lines, and not of their text as a whole.
    const schema = at([...content.keys, "schema"]).value
    if (type === "application/x-ndjson" && !(isJson(schema) && schema["type"] === "string")) {
      const lines = body.split("\n").filter((line) => line !== "")
      return [...found, ...lines.flatMap((line) => faults([...content.keys, "schema"], JSON.parse(line)))]
    }
    const read: unknown = type === "application/json" ? JSON.parse(body) : body
    return [...found, ...faults([...content.keys, "schema"], read)]
  }

  const paths = isJson(document["paths"]) ? document["paths"] : {}
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(isJson(item) ? item : {}).map(([method, operation]) => ({
      method,
      path,
      operation: isJson(operation) ? operation : {}
    }))
  )
  const faultsOfBody = (method: string, path: string, value: unknown) => {
    const { keys } = at(["paths", path, method, "requestBody", "content", "application/json", "schema"])
    return faults(keys, value)
  }
  return {
    document,
    operations,
    faultsOf,
    faultsOfBody,
    faultsBy: (name, value) => faults(["components", "schemas", name], value)
  }
}
