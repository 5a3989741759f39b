/**
 * The description of the API for people, made of the document that programs read at `/openapi.json`.
 */
import * as Predicate from "effect/Predicate"
import { columnsOf, documentOf, escaped, type Page, tableOf } from "./html.ts"

type Json = Readonly<Record<string, unknown>>

const objectOf = (value: unknown): Json => (Predicate.isObject(value) ? (value as Json) : {}) // reason: an object has string keys

const textOf = (value: unknown): string => (typeof value === "string" ? value : "")

const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

interface Operation {
  readonly method: string
  readonly path: string
  readonly said: Json
}

/** The groups of the document by what a reader looks for, in the order that they are wanted. */
const groups: ReadonlyArray<readonly [tag: string, heading: string]> = [
  ["openai", "Models answer"],
  ["passed", "Speech, images, ranking and more"],
  ["responses", "The same by OpenAI's Responses"],
  ["anthropic", "The same for clients of Anthropic's"],
  ["ollama", "The same for clients of Ollama's"],
  ["gemini", "The same for clients of Google's"],
  ["gateway", "What there is, and how it is"],
  ["probes", "Probes"],
  ["work", "Figures"],
  ["catalogue", "Names of models"],
  ["admin", "Why a request went where it went"],
  ["control", "Config and backends"],
  ["lifecycle", "Models loaded, unloaded and pulled"],
  ["events", "What changes, as it changes"],
  ["doctor", "What is wrong, and how it is mended"],
  ["keys", "Keys of clients"],
  ["usage", "Who used what"],
  ["captures", "Prompts and answers that are stored"],
  ["cache", "Answers that are given again"],
  ["audit", "Which hosts are contacted"],
  ["document", "For reading"]
]

const operationsOf = (document: Json): ReadonlyArray<Operation> =>
  Object.entries(objectOf(document["paths"])).flatMap(([path, item]) =>
    Object.entries(objectOf(item)).map(([method, said]) => ({
      method: method.toUpperCase(),
      path,
      said: objectOf(said)
    }))
  )

const resolved = (document: Json, value: unknown): Json => {
  const named = objectOf(value)
  const ref = textOf(named["$ref"])
  return ref === ""
    ? named
    : ref
        .slice(2)
        .split("/")
        .reduce((at: Json, key) => objectOf(at[key]), document)
}

const typeOf = (document: Json, value: unknown): string => {
  const schema = resolved(document, value)
  const { type } = schema
  const values = listOf(schema["enum"])
  if (values.length > 0) return values.map((each) => JSON.stringify(each)).join(" or ")
  const either = [...listOf(schema["anyOf"]), ...listOf(schema["oneOf"])].map((each) => typeOf(document, each))
  if (either.length > 0) return [...new Set(either)].join(" or ")
  if (type === "array") return schema["items"] === undefined ? "array" : `array of ${typeOf(document, schema["items"])}`
  return Array.isArray(type) ? type.join(" or ") : textOf(type) || "anything"
}

const descriptionOf = (document: Json, value: unknown): string => {
  const schema = resolved(document, value)
  const within = [...listOf(schema["allOf"]), ...listOf(schema["anyOf"])].map((each) => descriptionOf(document, each))
  return [textOf(schema["description"]), ...within].find((each) => each !== "") ?? ""
}

const fieldsOf = (document: Json, { said }: Operation): ReadonlyArray<ReadonlyArray<string>> => {
  const [content] = Object.values(objectOf(objectOf(said["requestBody"])["content"]))
  const schema = resolved(document, objectOf(content)["schema"])
  const required = new Set(listOf(schema["required"]))
  const fields = Object.entries(objectOf(schema["properties"])).map(([name, field]) => [
    name,
    "body",
    `${typeOf(document, field)}${required.has(name) ? "" : ", optional"}`,
    descriptionOf(document, field)
  ])
  const parameters = listOf(said["parameters"]).map((each) => {
    const { name, in: where, required: needed, schema: type } = objectOf(each)
    return [textOf(name), textOf(where), `${typeOf(document, type)}${needed === true ? "" : ", optional"}`, ""]
  })
  return [...parameters, ...fields]
}

const answersOf = (document: Json, { said }: Operation): ReadonlyArray<ReadonlyArray<string>> =>
  Object.entries(objectOf(said["responses"])).map(([status, value]) => {
    const response = resolved(document, value)
    return [status, Object.keys(objectOf(response["content"])).join(", "), textOf(response["description"])]
  })

const detailsOf = (document: Json, operation: Operation): string => {
  const { method, path, said } = operation
  const fields = fieldsOf(document, operation)
  const cells = (rows: ReadonlyArray<ReadonlyArray<string>>) => rows.map((row) => row.map(escaped))
  return `<details><summary><code><b>${method}</b> ${escaped(path)}</code> <span class="dim">${escaped(textOf(said["summary"]))}</span></summary>
${fields.length === 0 ? "" : tableOf(["Field", "In", "Type", "What for"], cells(fields))}
${tableOf(["Status", "Form", "When"], cells(answersOf(document, operation)))}
</details>`
}

/** The page, in both forms. */
export const docsPage = (document: Json): Page => {
  const all = operationsOf(document)
  const { title, version, description } = objectOf(document["info"])
  const sections = groups
    .map(([tag, heading]) => ({ heading, within: all.filter(({ said }) => listOf(said["tags"]).includes(tag)) }))
    .filter(({ within }) => within.length > 0)
  const name = `${textOf(title)} ${textOf(version)}`
  const keys = "With [auth] keys, send one as 'Authorization: Bearer …', x-api-key, api-key or x-goog-api-key."
  const width = Math.max(...all.map(({ path }) => path.length))
  const lines = ({ heading, within }: (typeof sections)[number]) => [
    "",
    heading,
    ...columnsOf(
      within.map(({ method, path, said }) => [method.padEnd(6), path.padEnd(width), textOf(said["summary"])])
    )
  ]
  return {
    text: [
      name,
      `${textOf(description)}.`,
      keys,
      ...sections.flatMap(lines),
      "",
      "All of it for programs: /openapi.json",
      ""
    ].join("\n"),
    html: documentOf(
      `${name}: the API`,
      `<h1>${escaped(name)}</h1>
<p>${escaped(textOf(description))}.</p>
<p>${escaped(keys)}</p>
<p class="dim">For programs: <a href="/openapi.json">/openapi.json</a> · <a href="/">state of this gateway</a></p>
${sections
  .map(
    ({ heading, within }) =>
      `<h2>${heading}</h2>\n${within.map((operation) => detailsOf(document, operation)).join("\n")}`
  )
  .join("\n")}`
    )
  }
}
